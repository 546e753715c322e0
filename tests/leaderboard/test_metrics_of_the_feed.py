"""What the feed has told, on the board: its values, and null where it has told nothing."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal

import pytest

from leaderboard.metrics import WINDOWS
from tests.leaderboard.history import NOW, add_day, add_ranked, publish, row
from traders.models import FeedDay

pytestmark = pytest.mark.django_db
OF_THE_FEED = ("fills", "taker_share", "known_share", "wash_volume_usd")


def told(metric, *names):
    return tuple(getattr(metric, name) for name in names)


def test_shares_are_of_what_the_feed_has_shown_and_not_of_snapshots():
    trader = add_ranked()
    add_day(trader, 1, fills=3, volume_usd=100, taker_volume_usd=25, unknown_volume_usd=10)
    add_day(trader, 2, volume_usd=900, estimated_events=2, estimated_volume_usd=900, events=2)
    add_day(trader, 40, fills=1, volume_usd=100, taker_volume_usd=100, wash_volume_usd=7)
    boards = publish()

    month, ever = row(boards["30"], trader), row(boards["all"], trader)

    assert told(month, *OF_THE_FEED) == (3, 0.25, 0.9, 0)
    assert told(ever, *OF_THE_FEED) == (4, 0.625, 0.95, 7)
    assert (month.total_volume_usd, month.estimated) == (1000, True)


def test_who_only_snapshots_have_shown_has_nothing_of_the_feed():
    trader = add_ranked()
    add_day(trader, volume_usd=0.3, estimated_events=1, estimated_volume_usd=0.3, events=1)
    add_day(trader, 1, volume_usd=0.6, estimated_events=1, estimated_volume_usd=0.6, events=1)

    metric = row(publish()["30"], trader)

    assert told(metric, *OF_THE_FEED) == (None,) * 4
    assert metric.estimated is True


def test_who_the_feed_has_shown_is_not_estimated_though_the_position_be_unknown():
    trader = add_ranked()
    add_day(trader, snapshots=1, fills=2, volume_usd=50, unknown_volume_usd=50)

    metric = row(publish()["30"], trader)

    assert told(metric, "total_volume_usd", "known_share", "estimated") == (50, 0, False)
    assert told(metric, "realised_pnl", "closed_trips") == (None, None)


def test_washing_alone_is_seen_and_is_no_volume():
    trader = add_ranked()
    add_day(trader, snapshots=0, wash_volume_usd=8)

    metric = row(publish()["30"], trader)

    assert told(metric, *OF_THE_FEED) == (0, None, None, 8)


def test_the_average_hold_is_over_the_complete_trips_alone():
    trader, other = add_ranked(), add_ranked()
    add_day(trader, closed=5, completed=2, held_ms=9_000)
    add_day(trader, 1, closed=1, completed=1, held_ms=3_000, wins=1)
    add_day(other, closed=3)
    boards = publish()

    assert row(boards["30"], trader).average_hold_seconds == 4
    assert row(boards["30"], other).average_hold_seconds is None


def test_sums_are_those_of_exact_numbers_whatever_their_size():
    numbers = random.Random(11)
    sums: dict[tuple[int, str], Decimal] = {}
    traders = [add_ranked() for _ in range(20)]
    for trader in traders:
        for ago in numbers.sample(range(120), numbers.randrange(1, 30)):
            scale = Decimal(10) ** numbers.randrange(-15, 2)
            volume = (numbers.randrange(1, 10**9) * scale).quantize(Decimal("1E-18"))
            add_day(trader, ago, volume_usd=volume)
            for window, length in WINDOWS.items():
                if length is None or ago <= length:
                    key = (trader.pk, window)
                    sums[key] = sums.get(key, Decimal(0)) + volume
    boards = publish()

    for (trader_id, window), volume in sums.items():
        told_volume = row(boards[window], trader_id).total_volume_usd
        assert told_volume == pytest.approx(float(volume), rel=1e-9)


def test_rows_tell_since_when_and_how_well_a_trader_was_followed(client, pages):
    trader = add_ranked(age_days=2.5)
    add_day(trader)
    for ago, seconds in ((3, 86_400), (2, 43_200), (1, 86_400), (0, 43_200)):
        day = NOW.date() - timedelta(days=ago)
        FeedDay.objects.create(day=day, covered_seconds=seconds, counted_until=NOW)
    publish()

    windows = client.get(f"/api/v1/traders/{trader.pk}/metrics").json()["windows"]

    assert windows["all"]["tracking_since"] == "2026-03-29T00:00:00Z"
    assert windows["all"]["coverage"] == "0.8"
    FeedDay.objects.all().delete()
    publish()
    windows = client.get(f"/api/v1/traders/{trader.pk}/metrics").json()["windows"]
    assert windows["all"]["coverage"] is None
