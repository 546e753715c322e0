"""What snapshots make of a trader's round trips and days."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.traders.book import add_trader
from tests.traders.states import T, held, record, state
from tests.traders.told_again import assert_statistics_follow_from_log
from traders.models import Position, PositionEvent, RoundTrip, TraderDay
from traders.statistics import MARK_LASTS_MS

pytestmark = pytest.mark.django_db

D = Decimal
DAY_MS = 86_400_000
EMPTY = state(T)


@pytest.fixture
def trader():
    return add_trader(7)


def at_mark(coin, size, entry, mark, **values):
    """Return a position that the exchange values at `mark`."""
    return held(coin, size, entry, notional=abs(D(size) * D(mark)), **values)


def others_hold(coin, mark, *, at_ms):
    record(add_trader(99), state(at_ms, at_mark(coin, "1", mark, mark)))


def close(trader, at_ms, *rest):
    """Record the state without the closed position, twice where nothing else is held."""
    record(trader, state(at_ms, *rest), *([] if rest else [state(at_ms + 5_000)]))


def details():
    return [row.details for row in PositionEvent.objects.order_by("id")]


def test_a_round_trip_is_valued_at_the_newest_mark_of_any_trader(trader):
    record(trader, EMPTY, state(T + 1_000, at_mark("BTC", "2", "100", "101")))
    others_hold("BTC", "110", at_ms=T + 4_000)
    close(trader, T + 5_000)

    trip = RoundTrip.objects.get()
    assert (trip.coin, trip.side, trip.peak_size, trip.entry_price) == ("BTC", "LONG", 2, 100)
    assert (trip.opened_at_ms, trip.closed_at_ms) == (T + 1_000, T + 10_000)
    assert (trip.gross_pnl, trip.fees, trip.net_pnl) == (20, D("0.189"), D("19.811"))
    assert (trip.funding, trip.complete, trip.estimated) == (None, True, True)
    day = TraderDay.objects.get(trader=trader)
    assert (day.closed, day.wins, day.losses, day.gross_profit) == (1, 1, 0, D("19.811"))
    assert (day.volume_usd, day.events, day.realised_gross, day.fees) == (420, 2, 20, D("0.189"))
    assert details() == [
        {},
        {"entry_price": "100", "mark_price": "110", "funding": None},
    ]
    assert day.held_ms == 9_000
    assert_statistics_follow_from_log()


def test_a_close_without_any_fresh_mark_has_an_unknown_result_and_is_no_win(trader):
    record(trader, EMPTY, state(T + 1_000, at_mark("BTC", "2", "100", "100")))
    close(trader, T + 1_000 + MARK_LASTS_MS)

    trip = RoundTrip.objects.get()
    assert (trip.gross_pnl, trip.net_pnl, trip.complete) == (None, None, True)
    day = TraderDay.objects.get()
    assert (day.closed, day.wins, day.losses, day.volume_usd) == (1, 0, 0, 200)
    assert details()[-1]["mark_price"] is None
    assert_statistics_follow_from_log()


def test_a_reduction_is_valued_at_the_mark_of_its_own_snapshot(trader):
    record(
        trader,
        EMPTY,
        state(T + 1, at_mark("ETH", "-4", "50", "50")),
        state(T + 2, at_mark("ETH", "-1", "50", "40")),
    )

    episode = Position.objects.get()
    assert (episode.size, episode.peak_size, episode.realised_pnl) == (-1, 4, 30)
    assert TraderDay.objects.get().realised_gross == 30
    assert details()[-1] == {"entry_price": "50", "mark_price": "40"}
    assert_statistics_follow_from_log()


def test_funding_of_the_last_snapshot_can_make_a_win_a_loss(trader):
    paid = at_mark("BTC", "1", "100", "100.3", funding_since_open=D("0.5"))
    record(trader, EMPTY, state(T + 1, paid, held("ETH", "1")))
    close(trader, T + 2, held("ETH", "1"))

    trip = RoundTrip.objects.get()
    assert (trip.gross_pnl, trip.funding) == (D("0.3"), D("-0.5"))
    assert trip.net_pnl == D("-0.2") - trip.fees
    day = TraderDay.objects.get()
    assert (day.wins, day.losses, day.gross_loss) == (0, 1, -trip.net_pnl)
    assert_statistics_follow_from_log()


def test_a_position_of_the_baseline_is_not_complete_and_in_no_win_rate(trader):
    record(trader, state(T, at_mark("BTC", "2", "100", "110"), held("ETH", "1")))
    close(trader, T + 1, held("ETH", "1"))

    trip = RoundTrip.objects.get()
    assert (trip.complete, trip.opened_at_ms, trip.gross_pnl) == (False, None, 20)
    day = TraderDay.objects.get()
    assert (day.closed, day.wins, day.gross_profit, day.realised_gross) == (1, 0, 0, 20)
    assert_statistics_follow_from_log()


def test_a_flip_ends_one_episode_and_begins_the_next(trader):
    record(
        trader,
        EMPTY,
        state(T + 1, at_mark("BTC", "2", "100", "100")),
        state(T + 2, at_mark("BTC", "-3", "90", "95")),
    )

    assert RoundTrip.objects.get().gross_pnl == -10
    episode = Position.objects.get()
    assert (episode.size, episode.entry_price, episode.opened_at_ms) == (-3, 90, T + 2)
    assert_statistics_follow_from_log()


def test_an_episode_goes_on_through_snapshots_without_a_change(trader):
    opened = at_mark("BTC", "-2", "100", "100")
    record(trader, EMPTY, state(T + 1, opened), state(T + 2, opened), state(T + 3, opened))

    episode = Position.objects.get()
    assert (episode.opened_at_ms, episode.peak_size, episode.fees) == (T + 1, 2, D("0.09"))


def test_a_reduction_realises_from_the_entry_price_that_was_told_last(trader):
    record(
        trader,
        EMPTY,
        state(T + 1, at_mark("BTC", "2", "100", "100")),
        state(T + 2, at_mark("BTC", "2", "104", "104")),  # out and in again, unseen
        state(T + 3, at_mark("BTC", "1", "104", "110")),
    )

    episode = Position.objects.get()
    assert (episode.opened_at_ms, episode.realised_pnl) == (T + 1, 6)
    assert_statistics_follow_from_log()


def test_each_day_has_the_equity_that_was_seen_on_it(trader):
    values = [(T, "1000"), (T + 1, "1010"), (T + 2, "990"), (T + DAY_MS, "1100")]
    record(trader, *(state(at_ms, held("BTC", "1"), value=value) for at_ms, value in values))

    first, second = TraderDay.objects.order_by("day")
    assert (first.day, second.day) == (date(2025, 10, 9), date(2025, 10, 10))
    assert (first.equity_open, first.equity_close) == (1000, 990)
    assert (first.equity_min, first.equity_max, first.snapshots) == (990, 1010, 3)
    assert (second.equity_open, second.equity_close) == (1100, 1100)
    assert_statistics_follow_from_log()


def test_what_the_marks_explain_is_a_return_and_the_rest_a_deposit(trader):
    record(
        trader,
        state(T, at_mark("BTC", "10", "100", "100"), value="1000"),
        state(T + 1, at_mark("BTC", "10", "100", "110"), value="1100"),
        state(T + 2, at_mark("BTC", "10", "100", "99"), value="1990"),
    )

    day = TraderDay.objects.get()
    assert day.net_flow == 1000
    # 1000 -> 1100, then -110 on 1100 + 1000.
    assert (day.nav_open, day.nav_min, day.nav_max) == (1, 1, D("1.1"))
    assert day.nav_close == (D("1.1") * (1 - D(110) / 2100)).quantize(D("1E-18"))
    assert_statistics_follow_from_log()


def test_one_snapshot_alone_has_no_return(trader):
    record(trader, state(T, held("BTC", "1")))

    day = TraderDay.objects.get()
    assert (day.nav_open, day.nav_close, day.nav_min, day.nav_max) == (None,) * 4


def test_an_unknown_value_breaks_the_chain_and_makes_no_return(trader):
    unknown = state(T + 1, held("BTC", "1"), value="0")
    record(
        trader,
        state(T, held("BTC", "1"), value="1000"),
        unknown,
        state(T + 2, held("BTC", "1"), value="5000"),
        state(T + 3, held("BTC", "1"), value="5000"),
    )

    day = TraderDay.objects.get()
    assert (day.equity_min, day.equity_max, day.snapshots) == (1000, 5000, 4)
    assert (day.nav_close, day.net_flow) == (1, 0)
    assert_statistics_follow_from_log()


def test_a_loss_in_a_trade_at_an_unknown_price_is_no_withdrawal(trader):
    record(trader, state(T, at_mark("BTC", "10", "100", "100"), held("ETH", "1"), value="1000"))
    others_hold("BTC", "90", at_ms=T + 1)
    record(trader, state(T + 2, held("ETH", "1"), value="950"))  # sold at 95, between the marks

    day = TraderDay.objects.get(trader=trader)
    assert (day.net_flow, day.nav_close) == (0, D("0.95"))
    assert_statistics_follow_from_log()


def test_another_dex_counts_in_the_sums_and_not_in_the_equity(trader):
    record(trader, state(T, value="1000"))
    record(trader, state(T, value="50"), dex="xyz")
    record(trader, state(T + 1, at_mark("xyz:TSLA", "1", "300", "300"), value="50"), dex="xyz")
    record(trader, state(T + 2, at_mark("xyz:TSLA", "-1", "310", "310"), value="50"), dex="xyz")

    day = TraderDay.objects.get()
    assert (day.events, day.volume_usd, day.wins) == (3, 920, 1)
    assert (day.equity_min, day.equity_max, day.snapshots) == (1000, 1000, 1)
    assert RoundTrip.objects.get().dex == "xyz"
    assert_statistics_follow_from_log()


def test_a_snapshot_that_is_not_applied_counts_nowhere(trader):
    record(trader, state(T, held("BTC", "1")), state(T - 1, held("BTC", "9")), state(T + 1))

    day = TraderDay.objects.get()
    assert (day.snapshots, day.events) == (1, 0)
    assert_statistics_follow_from_log()


def test_a_snapshot_without_a_change_costs_two_statements(trader):
    def statements(at_ms, *positions):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            record(trader, state(at_ms, *positions))
        return [query["sql"] for query in queries]

    record(trader, state(T, held("BTC", "1"), held("ETH", "2")))
    many = statements(T + 1, held("BTC", "1"), held("ETH", "2"))

    tables = ("traders_traderday", "traders_roundtrip")
    assert len([sql for sql in many if any(table in sql for table in tables)]) == 2
    # Limits, ledger, positions before, what waits, what has moved, cursors, sum of days, positions
    # after, snapshot, day, ledger.
    assert len(many) == 11


def test_figures_beyond_all_reason_are_unknown_and_stop_nobody(trader):
    huge = "1" + "0" * 19
    absurd = held("BTC", "0.00001", huge, notional=D(huge), funding_since_open=D(huge))
    record(trader, state(T, value=huge), state(T + 1, absurd, held("ETH", "1"), value=huge))
    record(trader, state(T + 2, held("ETH", "1"), value=huge))

    trip = RoundTrip.objects.get()
    assert (trip.gross_pnl, trip.funding) == (None, None)
    assert TraderDay.objects.get().equity_max is None
