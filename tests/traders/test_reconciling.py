"""Snapshots against positions that are known: confirmed, doubted, corrected."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.traders.fills import START_MS
from tests.traders.looks import Feed
from tests.traders.states import held
from traders.models import Correction, Healing, Ledger, PositionEvent
from traders.verdicts import Verdict

pytestmark = pytest.mark.django_db


@pytest.fixture
def feed():
    """Know the trader since 10 s after the start: 2 BTC at 100, no other coin."""
    known = Feed()
    known.look(10_000, held("BTC", "2", "100"))
    return known


def corrections():
    rows = Correction.objects.order_by("id")
    return [(row.coin, row.ledger_size, row.snapshot_size, row.cause) for row in rows]


def test_what_the_feed_has_told_is_confirmed(feed):
    feed.fill(15_000, "1", price="130")
    recorded = feed.look(30_000, held("BTC", "3", "110", leverage=7))

    assert (recorded.verdicts[""], recorded.look_again) == (Verdict.APPLIED, None)
    assert (feed.floor(), feed.row().leverage) == (30_000, 7)
    assert [source for source, *_ in feed.events()] == ["feed"]
    assert corrections() == []


def test_fills_around_the_snapshot_are_carried_on_from_the_cut_that_it_shows(feed):
    feed.fill(28_000, "1", price="130")
    feed.fill(29_000, "-2", price="140")
    feed.fill(31_000, "3", price="150")
    feed.look(30_000, held("BTC", "3", "110", liquidation_price=Decimal(50)))

    row = feed.row()
    assert (row.size, row.entry_price) == (4, 140)
    assert (row.liquidation_price, row.notional, row.leverage) == (None, None, 10)
    # The second fill came after what was shown.
    assert feed.floor() == 28_999
    assert (row.peak_size, feed.day().realised_gross) == (4, 60)
    assert corrections() == []


def test_a_difference_is_doubted_first_and_wins_once_it_is_shown_again(feed):
    first = feed.look(30_000, held("BTC", "5", "130"))

    assert first.look_again is Healing.DOUBT
    assert (feed.size(), feed.events(), corrections()) == (2, [], [])
    assert (feed.standing().stale, feed.standing().as_of_ms) == (True, START_MS + 10_000)
    # Not so soon.
    assert feed.look(34_999, held("BTC", "5", "130")).look_again is Healing.DOUBT
    assert feed.size() == 2

    second = feed.look(35_000, held("BTC", "5", "130"))
    assert (second.look_again, second.events, feed.is_fresh()) == (None, 1, True)
    assert corrections() == [("BTC", 2, 5, "drift")]
    assert feed.events() == [("snapshot", "INCREASE", 2, 5)]
    row = feed.row()
    assert (row.size, row.entry_price, row.opened_at_ms) == (5, 130, None)
    third = feed.look(50_000, held("BTC", "5", "130"))
    assert (third.events, len(corrections())) == (0, 1)


def test_a_correction_leaves_the_round_trip_incomplete(feed):
    feed.fill(15_000, "-2", price="100")
    feed.fill(16_000, "1", price="100")
    for at_ms in (30_000, 36_000):
        feed.look(at_ms, held("BTC", "2", "100"))
    feed.fill(50_000, "-2", price="150")

    [_, trip] = feed.trips()
    assert (trip.complete, trip.opened_at_ms, trip.peak_size) == (False, None, 2)
    assert feed.row() is None


def test_a_correction_that_explains_itself_by_a_gap_is_no_drift(feed):
    feed.gap("BTC", 12_000, 13_000)
    assert not feed.is_fresh()
    for at_ms in (30_000, 36_000):
        feed.look(at_ms, held("BTC", "-1", "100"))

    assert corrections() == [("BTC", 2, -1, "gap")]
    assert [event[1:] for event in feed.events()] == [("CLOSE", 2, 0), ("OPEN", 0, -1)]
    assert (feed.size(), feed.is_fresh()) == (-1, True)


def test_a_correction_of_what_was_in_doubt_before_any_snapshot_spoke_against_it_is_no_drift(feed):
    Ledger.objects.update(doubts={"BTC": {"floor": START_MS + 10_000}})
    for at_ms in (30_000, 36_000):
        feed.look(at_ms, held("BTC", "5", "130"))

    assert corrections() == [("BTC", 2, 5, "gap")]
    assert feed.is_fresh()


def test_a_gap_before_the_first_look_that_is_noted_after_it_explains_the_correction(feed):
    feed.look(30_000, held("BTC", "5", "130"))
    feed.gap("BTC", 12_000, 13_000)
    feed.look(36_000, held("BTC", "5", "130"))

    assert corrections() == [("BTC", 2, 5, "gap")]


def test_after_a_gap_one_snapshot_that_agrees_is_enough(feed):
    feed.gap("BTC", 12_000, 13_000)
    feed.look(30_000, held("BTC", "2", "100"))

    assert (feed.is_fresh(), corrections(), feed.events()) == (True, [], [])


def test_after_a_gap_a_cut_that_happens_to_agree_confirms_nothing(feed):
    """The trader has bought 1 in the gap, and buys and sells 1 all the time."""
    feed.gap("BTC", 12_000, 13_000)
    for n in range(60):
        feed.fill(14_500 + 1_000 * n, str((-1) ** n))
        if n in {15, 22, 28, 40}:
            # As the account was a second earlier.
            at_ms = 12_000 + 1_000 * n
            true = 3 + (at_ms - 1_000 >= 14_500) * (n % 2)
            feed.look(at_ms, held("BTC", str(true), "100"))
    if feed.is_fresh():
        assert feed.size() == 3
    else:
        assert feed.standing().as_of_ms < START_MS + 12_001


def test_a_difference_that_disappears_was_none(feed):
    feed.look(30_000, held("BTC", "5"))
    feed.look(40_000, held("BTC", "2"))

    assert (feed.ledger.doubts, feed.is_fresh(), corrections()) == ({}, True, [])
    # And begins anew.
    feed.look(50_000, held("BTC", "5"))
    assert feed.size() == 2


def test_a_late_trade_between_two_looks_explains_the_difference(feed):
    feed.look(30_000, held("BTC", "3"))
    feed.fill(32_500, "1")
    feed.fill(26_000, "1", is_late=True)
    assert PositionEvent.objects.order_by("-id")[0].stale
    feed.look(40_000, held("BTC", "4"))

    assert (feed.size(), feed.is_fresh(), corrections()) == (4, True, [])


def test_another_difference_than_the_first_needs_another_look(feed):
    feed.look(30_000, held("BTC", "5"))
    feed.look(36_000, held("BTC", "6"))
    assert (feed.size(), corrections()) == (2, [])
    feed.look(42_000, held("BTC", "6"))
    assert corrections() == [("BTC", 2, 6, "drift")]


def test_a_correction_is_carried_on_by_what_came_after_its_snapshot(feed):
    feed.look(30_000, held("BTC", "5", "130"))
    feed.fill(37_000, "1", price="190")
    feed.look(36_000, held("BTC", "5", "130"))

    row = feed.row()
    assert (row.size, row.entry_price, row.opened_at_ms) == (6, 140, None)
    assert row.peak_size == 6
    assert feed.events() == [("feed", "INCREASE", 2, 3), ("snapshot", "INCREASE", 3, 6)]
    assert corrections() == [("BTC", 2, 5, "drift")]
    feed.fill(50_000, "-6", price="140")
    assert (feed.row(), feed.trips()[-1].complete) == (None, False)


def test_a_position_that_is_gone_is_closed_by_the_second_look_alone(feed):
    feed.look(30_000)
    assert feed.size() == 2
    feed.look(36_000)

    assert feed.events() == [("snapshot", "CLOSE", 2, 0)]
    assert feed.row() is None
    [trip] = feed.trips()
    assert (trip.complete, trip.estimated) == (False, True)


def test_a_bare_reply_closes_nothing_alone(feed):
    for at_ms in (30_000, 33_000):
        feed.look(at_ms, value="0")
        assert (feed.size(), feed.events()) == (2, [])
    feed.look(40_000, held("BTC", "2"))

    assert (feed.ledger.doubts, feed.is_fresh()) == ({}, True)


def test_a_snapshot_at_or_below_the_floor_changes_nothing(feed):
    feed.look(30_000, held("BTC", "2"))
    for at_ms in (29_999, 30_000):
        recorded = feed.look(at_ms, held("BTC", "9"))
        assert recorded.verdicts[""] is Verdict.OLD
    assert (feed.size(), feed.ledger.doubts, feed.floor()) == (2, {}, 30_000)


def test_a_flat_trader_stays_flat_and_a_missed_opening_is_found(feed):
    feed.look(30_000, held("BTC", "2"), held("ETH", "4", "50"))
    assert feed.row("ETH") is None
    assert feed.is_fresh("BTC")
    feed.look(36_000, held("BTC", "2"), held("ETH", "4", "50"))

    assert feed.size("ETH") == 4
    assert corrections() == [("ETH", 0, 4, "drift")]
    assert (feed.row("ETH").opened_at_ms, feed.row("ETH").peak_size) == (None, 4)


def test_an_unfollowed_coin_is_told_at_once_beside_a_doubted_one(feed):
    feed.look(20_000, held("BTC", "2"), held("ARB", "7"))
    feed.look(30_000, held("BTC", "3"), held("ARB", "8"))

    assert feed.events() == [("snapshot", "OPEN", 0, 7), ("snapshot", "INCREASE", 7, 8)]
    assert (feed.size("BTC"), feed.size("ARB")) == (2, 8)
    assert corrections() == []


def test_a_doubt_of_one_dex_says_nothing_of_another(feed):
    feed.look(20_000, held("xyz:TSLA", "3"), dex="xyz")
    feed.look(30_000, held("xyz:TSLA", "4"), dex="xyz")

    assert list(feed.ledger.doubts) == ["xyz:TSLA"]
    feed.look(36_000, held("BTC", "2"))
    assert (feed.size("xyz:TSLA"), list(feed.ledger.doubts)) == (3, ["xyz:TSLA"])


@pytest.mark.parametrize("value", ["4000", "9000"])
def test_no_deposit_is_told_of_what_a_doubt_may_have_earned(feed, value):
    feed.look(30_000, held("BTC", "9", "100"), value=value)
    feed.look(36_000, held("BTC", "9", "100"), value=value)
    feed.look(42_000, held("BTC", "9", "100"), value=value)

    assert feed.day().net_flow == 0
    feed.look(50_000, held("BTC", "9", "100"), value="20000")
    assert feed.day().net_flow == 20_000 - Decimal(value)
