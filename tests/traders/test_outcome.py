"""What round trips add to a day: which of them count where, and that held time counts the same."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from tests.leaderboard.history import NOW
from tests.traders.book import address
from traders import bulk
from traders.episodes import RoundTrip
from traders.models import Trader, TraderDay
from traders.outcome import DaySums

TRIP = RoundTrip(
    *("BTC", "LONG", 1_000, 4_000),
    peak_size=Decimal(1),
    entry_price=Decimal(100),
    gross_pnl=Decimal(7),
    fees=Decimal(2),
    funding=None,
)
UNKNOWN = replace(TRIP, gross_pnl=None)
SCRATCH = replace(TRIP, gross_pnl=TRIP.fees)
LOSS = replace(TRIP, gross_pnl=Decimal(-1))
CUT = replace(TRIP, opened_at_ms=None)


@pytest.mark.parametrize(
    ("trips", "counted"),
    [
        ([TRIP], (1, 1, 1, 0, 3_000)),
        ([UNKNOWN], (1, 1, 0, 0, 3_000)),
        ([SCRATCH], (1, 1, 0, 0, 3_000)),
        ([CUT], (1, 0, 0, 0, 0)),
        ([TRIP, LOSS, UNKNOWN, CUT], (4, 3, 1, 1, 9_000)),
    ],
)
def test_held_time_is_that_of_the_complete_trips_and_of_no_other(trips, counted):
    day = DaySums()
    for trip in trips:
        day.add_round_trip(trip)

    assert (day.closed, day.completed, day.wins, day.losses, day.held_ms) == counted


def test_a_trip_that_late_trades_close_before_it_was_opened_takes_no_time():
    day = DaySums()
    day.add_round_trip(replace(TRIP, opened_at_ms=5_000))

    assert (day.completed, day.held_ms) == (1, 0)


def test_the_best_and_the_worst_are_of_complete_trips_with_a_known_result():
    day = DaySums()
    for trip in (UNKNOWN, CUT):
        day.add_round_trip(trip)
    assert (day.best_trip_pnl, day.worst_trip_pnl) == (None, None)
    for trip in (LOSS, TRIP, SCRATCH):
        day.add_round_trip(trip)

    assert (day.best_trip_pnl, day.worst_trip_pnl) == (Decimal(5), Decimal(-3))


@pytest.mark.django_db
def test_batches_of_a_day_add_up_and_keep_the_best_and_the_worst():
    key = (Trader.objects.create(address=address(1), first_seen_at=NOW).pk, NOW.date())
    for trips in ([TRIP], [], [LOSS, UNKNOWN]):
        sums = DaySums()
        for trip in trips:
            sums.add_round_trip(trip)
        bulk.add_to_days({key: sums})

    day = TraderDay.objects.get()
    assert (day.closed, day.completed, day.held_ms) == (3, 3, 9_000)
    assert (day.best_trip_pnl, day.worst_trip_pnl) == (Decimal(5), Decimal(-3))
    assert (day.estimated_events, day.estimated_volume_usd) == (0, 0)
