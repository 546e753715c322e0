"""What must never be shown as known and fresh: numbers that late news has made wrong."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import F

from tests.traders.fills import START_MS
from tests.traders.looks import Feed
from tests.traders.states import held
from traders.cursors import Start
from traders.ingest import ingest
from traders.models import Correction, Healing, PositionEvent
from traders.verdicts import Verdict

pytestmark = pytest.mark.django_db


@pytest.fixture
def feed():
    return Feed()


def node_block(feed, at_ms, size, start, *, coin="BTC"):
    """Let a node bring one fill and the position before it."""
    arrival = feed.arrival(at_ms, size, coin=coin)
    [one] = arrival.trades
    is_buyer = one.buyer == feed.trader.address
    own, other = Start(Decimal(start)), Start(Decimal(5))
    starts = ((own, other) if is_buyer else (other, own),)
    ingest([type(arrival)(coin, arrival.trades, starts=starts)], feed.known)


@pytest.mark.parametrize("at_ms", [25_001, 30_000, 30_001, 32_000])
@pytest.mark.parametrize("shown", ["0", "1"])
def test_a_late_fill_that_the_snapshot_may_hold_or_not_makes_its_coin_stale(feed, at_ms, shown):
    feed.look(10_000)
    feed.fill(40_000, "1", coin="ETH")
    feed.look(30_000, *([held("BTC", shown)] if shown == "1" else []))
    feed.look(36_000, *([held("BTC", shown)] if shown == "1" else []))
    assert feed.floor() == 36_000
    feed.fill(at_ms + 6_000, "1", is_late=True)

    assert not feed.is_fresh()
    assert feed.is_fresh("ETH")
    # What is true is known once it is seen.
    for look_ms in (50_000, 56_000):
        feed.look(look_ms, held("BTC", "1"), held("ETH", "1"))
    assert (feed.size(), feed.is_fresh()) == (1, True)


@pytest.mark.parametrize(("at_ms", "size"), [(100_000, 1), (402_001, 2)])
def test_a_fill_long_before_a_snapshot_or_after_it_changes_nothing_of_what_it_told(
    feed, at_ms, size
):
    feed.look(400_000, held("BTC", "1"))
    feed.fill(403_000, "2", coin="ETH")
    feed.fill(at_ms, "1", is_late=True)

    assert feed.is_fresh()
    assert feed.size() == size


def test_a_fill_that_looked_like_a_late_one_confirms_nothing(feed):
    """The snapshot holds the late fill and not yet the other of the same size."""
    feed.look(10_000, held("BTC", "1"))
    feed.fill(59_000, "1")
    feed.look(60_000, held("BTC", "2"))
    assert feed.is_fresh()
    feed.fill(40_000, "1", is_late=True)

    assert not feed.is_fresh()
    for at_ms in (80_000, 86_000):
        feed.look(at_ms, held("BTC", "3"))
    assert (feed.size(), feed.is_fresh()) == (3, True)


def test_looks_at_a_base_say_nothing_any_more_when_a_late_fill_has_come(feed):
    """They imply {1, 2} without the late fill and {0, 1} with it: 1 is wrong."""
    feed.fill(18_500, "1")
    feed.look(20_000, held("BTC", "2"))
    assert sorted(feed.ledger.doubts["BTC"]["sizes"]) == ["1", "2"]
    feed.fill(12_000, "1", is_late=True)
    feed.fill(25_500, "-1")
    feed.look(27_000, held("BTC", "2"))

    assert not feed.is_fresh()
    feed.look(40_000, held("BTC", "1"))
    assert (feed.size(), feed.is_fresh()) == (1, True)


def test_an_old_snapshot_is_held_against_all_that_has_happened_since(feed):
    """Its server lags two minutes behind: the fills since are older than anybody looks back."""
    feed.look(10_000, held("BTC", "1"))
    feed.fill(40_000, "5")
    PositionEvent.objects.update(created_at=F("created_at") - timedelta(seconds=120))
    feed.fill(160_000, "1", coin="ETH")
    feed.look(30_000, held("BTC", "1"))
    feed.look(36_000, held("BTC", "1"))

    assert (feed.size(), feed.is_fresh()) == (6, True)
    assert not Correction.objects.exists()


def test_fills_that_were_committed_long_after_they_happened_are_carried_on(feed):
    """The database was away for minutes: everything comes at once, and then the snapshot."""
    feed.look(10_000, held("BTC", "1"))
    feed.fill(300_000, "1", clock_ms=START_MS + 600_000)
    feed.fill(598_000, "1", clock_ms=START_MS + 600_000)
    feed.look(600_000, held("BTC", "3"))

    assert (feed.size(), feed.is_fresh()) == (3, True)


@pytest.mark.parametrize("looked", [True, False])
def test_what_a_node_tells_of_a_time_before_the_floor_holds_up_to_there_alone(feed, looked):
    """The block came after the snapshot that raised the floor, and may be in it or not."""
    if looked:
        feed.look(10_000, held("BTC", "2"))
        feed.look(30_000, held("BTC", "5"))
        assert list(feed.ledger.doubts) == ["BTC"]
    else:
        feed.fill(5_000, "1")
        feed.look(8_000, held("BTC", "5"))
        assert list(feed.ledger.doubts) == ["BTC"]
        feed.look(30_000, held("ETH", "1"), value="1")
        ledger = feed.ledger
        ledger.doubts = {"BTC": {"floor": None, "cut": START_MS + 29_000}}
        ledger.save()
    node_block(feed, 27_000, "3", "2")

    assert not feed.is_fresh()
    for at_ms in (50_000, 56_000):
        feed.look(at_ms, held("BTC", "5"))
    assert (feed.size(), feed.is_fresh()) == (5, True)


def test_a_doubted_coin_that_a_node_tells_later_is_fresh_again(feed):
    feed.look(10_000, held("BTC", "2"))
    feed.look(30_000, held("BTC", "5"))
    node_block(feed, 40_000, "1", "5")

    assert (feed.size(), feed.is_fresh(), feed.ledger.doubts) == (6, True, {})
    feed.look(50_000, held("BTC", "6"))
    assert (feed.size(), feed.is_fresh()) == (6, True)
    assert Correction.objects.count() == 1


@pytest.mark.parametrize(("coin", "dex"), [("BTC", ""), ("xyz:TSLA", "xyz")])
def test_a_bare_reply_does_not_end_a_gap_alone(feed, coin, dex):
    """In the gap something was opened; the reply shows nothing because the exchange stumbles."""
    feed.look(10_000, dex=dex)
    feed.gap(coin, 12_000, 13_000)
    recorded = feed.look(30_000, value="0", dex=dex)

    assert (recorded.verdicts[dex], recorded.look_again) == (Verdict.WAITS, Healing.DOUBT)
    assert not feed.is_fresh(coin)
    feed.look(36_000, held(coin, "3"), dex=dex)
    assert not feed.is_fresh(coin)
    feed.look(42_000, held(coin, "3"), dex=dex)
    assert (feed.size(coin), feed.is_fresh(coin)) == (3, True)


@pytest.mark.parametrize(("coin", "dex"), [("BTC", ""), ("xyz:TSLA", "xyz")])
def test_the_bare_account_of_who_trades_no_more_needs_no_second_look_after_each_gap(
    feed, coin, dex
):
    feed.look(10_000, value="0", dex=dex)
    feed.look(80_000, value="0", dex=dex)
    feed.gap(coin, 81_000, 82_000)

    assert feed.look(90_000, value="0", dex=dex).look_again is None
    assert feed.is_fresh(coin)


def test_a_base_that_was_guessed_while_the_coin_was_not_carried_is_stale(feed):
    """It was shown as it had been before the fill."""
    feed.fill(29_000, "2")
    feed.look(30_000, held("BTC", "1"), followed=("ETH",))

    assert feed.standing().stale
    for at_ms in (50_000, 56_000):
        feed.look(at_ms, held("BTC", "3"))
    assert (feed.size(), feed.is_fresh()) == (3, True)


def test_a_coin_that_has_never_been_carried_is_in_no_doubt(feed):
    feed.look(30_000, held("ARB", "1"))

    assert feed.ledger.doubts == {}


def test_what_a_node_tells_right_after_a_snapshot_is_fresh(feed):
    feed.look(10_000, held("BTC", "2"))
    node_block(feed, 11_000, "1", "2")
    node_block(feed, 11_500, "1", "3")

    assert (feed.size(), feed.is_fresh(), feed.ledger.doubts) == (4, True, {})
    assert not Correction.objects.filter(trader=feed.trader).exists()


def test_a_spot_coin_is_in_no_doubt(feed):
    feed.look(10_000, held("BTC", "2"))
    feed.fill(11_000, "1", coin="@107")
    feed.fill(11_500, "1", coin="@107")

    assert feed.ledger.doubts == {}
