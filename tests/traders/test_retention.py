"""Old days become one row without changing a total; old partitions go; round trips stay."""

from __future__ import annotations

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.forms import model_to_dict

from leaderboard.metrics import METRICS
from leaderboard.models import LeaderboardMetric
from tests.leaderboard.history import NOW, add_day, add_ranked, publish
from traders import retention
from traders.days import SUMS
from traders.models import RoundTrip, TraderDay
from traders.retention import DAYS_KEPT, fold_days

pytestmark = pytest.mark.django_db
TODAY = NOW.date()
ROUND_TRIP: dict[str, Any] = {"peak_size": 1, "fees": 0, "complete": False, "estimated": True}


def lived(numbers: random.Random, trader, days_ago, *, unknown: float = 0) -> None:
    """Give the trader these days: every sum, an equity and an index that goes up and down.

    `unknown` is the share of days on which no equity was told.
    """
    index = Decimal(1)
    for ago in sorted(days_ago, reverse=True):
        sums: dict[str, object] = {name: numbers.randrange(1, 9) for name in SUMS}
        sums["volume_usd"] = Decimal(numbers.randrange(1, 10**12)) / 10**6
        worst, best = sorted(numbers.randrange(-99, 99) for _ in range(2))
        sums |= {"worst_trip_pnl": worst, "best_trip_pnl": best}
        if numbers.random() < unknown:
            add_day(trader, ago, **sums)
            continue
        points = [index]
        for _ in range(3):
            index = (index * Decimal(numbers.randrange(70, 140)) / 100).quantize(Decimal("1E-18"))
            points.append(index)
        equity = [point * 1000 for point in points]
        add_day(
            trader,
            ago,
            **sums,
            nav_open=points[0],
            nav_close=points[-1],
            nav_min=min(points),
            nav_max=max(points),
            equity_open=equity[0],
            equity_close=equity[-1],
            equity_min=min(equity),
            equity_max=max(equity),
        )


def known(value):
    """Return a metric as it is compared: sums of doubles depend on their order."""
    return pytest.approx(value, rel=1e-9) if isinstance(value, float) else value


def metrics_of(boards):
    """Return every metric of every trader on every board."""
    return {
        (window, row.trader_id, name): known(getattr(row, name))
        for window, board in boards.items()
        for row in LeaderboardMetric.objects.filter(board=board)
        for name in METRICS
    }


def test_no_metric_of_any_window_changes_when_old_days_are_folded():
    numbers = random.Random(7)
    traders = [add_ranked(age_days=400) for _ in range(12)]
    for trader in traders:
        recent = numbers.sample(range(DAYS_KEPT + 1), 9)
        past = numbers.sample(range(DAYS_KEPT + 1, 300), numbers.randrange(1, 30))
        lived(numbers, trader, [*recent, *past], unknown=numbers.choice([0, 0.01, 0.2]))
        RoundTrip.objects.create(
            trader=trader, coin="BTC", side="LONG", closed_at_ms=1, **ROUND_TRIP
        )
    before = metrics_of(publish())

    earned = [before["all", trader.pk, "net_pnl"] for trader in traders]
    assert {value is None for value in earned} == {True, False}

    # As time went by: some days were old yesterday, some are only now.
    first = fold_days(TODAY - timedelta(days=100))
    second = fold_days(TODAY)

    assert min(first, second) > 0
    assert metrics_of(publish()) == before
    assert RoundTrip.objects.count() == len(traders)
    for trader in traders:
        old = trader.days.filter(day__lt=TODAY - timedelta(days=DAYS_KEPT))
        assert old.count() <= 1


def test_a_folded_row_has_the_sums_extremes_first_and_last_of_its_days():
    trader = add_ranked()
    lived(random.Random(3), trader, range(DAYS_KEPT, DAYS_KEPT + 40))
    days = [model_to_dict(day) for day in trader.days.order_by("day")]
    old = days[:-1]  # the newest is 90 days old: not older

    assert fold_days(TODAY) == len(old) - 1

    folded, kept = trader.days.order_by("day")
    assert model_to_dict(kept) == days[-1]
    assert (folded.day, folded.folded_since) == (old[-1]["day"], old[0]["day"])
    for name in SUMS:
        assert getattr(folded, name) == sum(day[name] for day in old)
    for extreme, function in (("min", min), ("max", max)):
        for name in (f"equity_{extreme}", f"nav_{extreme}"):
            assert getattr(folded, name) == function(day[name] for day in old)
    for kind in ("equity", "nav"):
        assert getattr(folded, f"{kind}_open") == old[0][f"{kind}_open"]
        assert getattr(folded, f"{kind}_close") == old[-1][f"{kind}_close"]


def test_unknown_stays_unknown():
    trader = add_ranked()
    add_day(trader, 100)
    add_day(trader, 101)

    assert fold_days(TODAY) == 1

    folded = trader.days.get()
    assert (folded.nav_open, folded.equity_max, folded.drawdown) == (None, None, None)


def test_many_traders_are_folded_in_turns(monkeypatch):
    monkeypatch.setattr(retention, "TRADERS_AT_ONCE", 2)
    for _ in range(5):
        trader = add_ranked()
        for ago in (200, 201, 202):
            add_day(trader, ago, events=1)

    assert fold_days(TODAY) == 10

    assert list(TraderDay.objects.values_list("events", flat=True)) == [3] * 5
    assert fold_days(TODAY) == 0
