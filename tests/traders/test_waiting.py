"""Fills that have waited too long are let go, and what is left still leads to the truth."""

from __future__ import annotations

import pytest

from tests.traders.fills import START_MS
from tests.traders.looks import Feed
from tests.traders.states import held
from traders import waiting
from traders.ingest import ingest
from traders.models import Healing, WaitingFill

pytestmark = pytest.mark.django_db


@pytest.fixture
def feed():
    return Feed()


def crowd(feed, count, *, first_ms=10_000, every_ms=100, coin="BTC"):
    """Let the trader buy 1 so often."""
    arrivals = [feed.arrival(first_ms + every_ms * n, "1", coin=coin) for n in range(count)]
    ingest(arrivals, feed.known)


def kept(feed, coin="BTC"):
    rows = WaitingFill.objects.filter(trader_id=feed.trader.pk, coin=coin)
    return [at - START_MS for at in rows.order_by("time_ms").values_list("time_ms", flat=True)]


def test_two_hundred_fills_of_a_coin_stay(feed):
    crowd(feed, 200)
    crowd(feed, 200, coin="ETH")

    assert waiting.let_go() == 0
    assert feed.ledger.doubts == {}


def test_the_newest_two_hundred_stay_and_the_cut_is_recorded(feed):
    crowd(feed, 203)
    crowd(feed, 5, coin="ETH")
    # Those of the other side as well.
    assert waiting.let_go() == 6

    assert kept(feed) == [10_300 + 100 * n for n in range(200)]
    assert feed.ledger.doubts == {"BTC": {"floor": None, "cut": START_MS + 10_299}}
    assert len(kept(feed, "ETH")) == 5
    assert waiting.let_go() == 0


def test_a_day_is_the_longest_by_the_exchanges_own_time(feed):
    feed.fill(10_000, "1")
    feed.fill(20_000, "1", coin="ETH")
    feed.fill(10_000 + waiting.LONGEST_MS, "1", coin="xyz:TSLA")

    assert waiting.let_go() == 2
    assert (kept(feed), kept(feed, "ETH")) == ([], [20_000])
    assert feed.ledger.doubts == {"BTC": {"floor": None, "cut": START_MS + 10_000}}


def test_a_snapshot_after_the_cut_tells_the_position_and_one_before_it_does_not(feed):
    crowd(feed, 203)
    waiting.let_go()
    early = feed.look(15_000, held("BTC", "54", "100"))

    assert (early.look_again, feed.row()) == (Healing.BASE, None)
    assert feed.ledger.doubts["BTC"]["cut"] == START_MS + 10_299
    feed.look(15_300, held("BTC", "58", "100"), followed=())
    # It holds 54 fills of 203, and 4 from before them.
    feed.fill(40_000, "1")
    feed.look(60_000, held("BTC", "208", "100"))
    assert (feed.size(), feed.is_fresh(), feed.waiting()) == (208, True, 0)
    # What was let go stays unknown.
    assert feed.day().unknown_volume_usd == 300


def test_looks_from_before_a_cut_say_nothing_after_it(feed):
    """Their size is the one before a first fill that is no longer there."""
    crowd(feed, 201, every_ms=50)
    feed.look(20_000, held("BTC", "201"))
    assert feed.ledger.doubts["BTC"]["sizes"]
    waiting.let_go()

    assert feed.ledger.doubts["BTC"] == {"floor": None, "cut": START_MS + 10_049}
    feed.look(60_000, held("BTC", "201"))
    assert (feed.size(), feed.is_fresh()) == (201, True)


def test_who_has_become_known_meanwhile_keeps_all(feed):
    crowd(feed, 203)
    feed.look(60_000, held("BTC", "203"))
    WaitingFill.objects.exclude(trader_id=feed.trader.pk).delete()

    assert waiting.let_go() == 0
    assert feed.is_fresh()
