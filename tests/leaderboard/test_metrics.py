"""Metrics over real rows: their values, and where they are unknown."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard import scoring
from leaderboard.metrics import WINDOWS
from leaderboard.models import LeaderboardMetric
from tests.leaderboard.history import (
    WEIGHTS,
    add_day,
    add_nav,
    add_ranked,
    publish,
    row,
)


@pytest.mark.django_db
def test_a_single_snapshot_tells_nothing_of_trading():
    trader = add_ranked(age_days=2.5)
    add_day(trader, snapshots=1, equity_open=100, equity_close=100)

    metric = row(publish()["30"], trader)

    assert metric.account_age_days == 2.5
    for name in ("total_volume_usd", "net_pnl", "realised_pnl", "closed_trips", "max_drawdown"):
        assert getattr(metric, name) is None


@pytest.mark.django_db
def test_two_snapshots_without_a_change_are_no_volume_rather_than_unknown():
    trader = add_ranked()
    add_day(trader, snapshots=2, equity_open=100, equity_close=100)

    metric = row(publish()["30"], trader)

    assert (metric.total_volume_usd, metric.net_pnl, metric.closed_trips) == (0, 0, 0)


@pytest.mark.django_db
def test_the_net_result_is_the_change_of_equity_without_deposits():
    trader = add_ranked()
    add_day(trader, 3, equity_open=1000, equity_close=1100)
    add_day(trader, 2, equity_open=1150, equity_close=2100, net_flow=900)
    add_day(trader, 0, equity_open=2050, equity_close=2000)

    assert row(publish()["30"], trader).net_pnl == 100
    add_day(trader, 1)
    assert row(publish()["30"], trader).net_pnl is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wins", "losses", "profit", "loss", "ratio"),
    [(2, 1, 30, 5, 3), (2, 0, 30, 0, 10), (0, 2, 0, 9, 0), (0, 0, 0, 0, None), (1, 1, 99, 1, 10)],
)
def test_the_risk_ratio_is_bounded_and_null_without_a_result(wins, losses, profit, loss, ratio):
    trader = add_ranked()
    add_day(trader, wins=wins, losses=losses, gross_profit=profit, gross_loss=loss)

    assert row(publish()["30"], trader).risk_ratio == ratio


@pytest.mark.django_db
def test_the_best_and_worst_trips_are_those_watched_from_their_beginning():
    trader = add_ranked()
    add_day(trader)
    add_day(trader, 1, best_trip_pnl=5.5, worst_trip_pnl=1)
    add_day(trader, 2, best_trip_pnl=-3, worst_trip_pnl=-3)
    add_day(trader, 40, best_trip_pnl=-70, worst_trip_pnl=-70)
    boards = publish()

    month, ever = row(boards["30"], trader), row(boards["all"], trader)

    assert (month.best_trip_pnl, month.worst_trip_pnl) == (5.5, -3.0)
    assert (ever.best_trip_pnl, ever.worst_trip_pnl) == (5.5, -70.0)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("days", "drawdown"),
    [
        ([[1, 1.2], [1.2, 0.9]], 0.25),
        ([[1, 0.8, 1.2]], 0.2),  # the low came first: the day's own peak is later
        ([[1, 1.5, 1.2]], 0.2),
        ([[1, 0]], 1.0),
        ([[0, 0]], None),  # wiped out before: nothing to fall from
        ([[1, 1.1], [1.1, 1.2]], 0.0),
    ],
)
def test_the_drawdown_is_of_the_index_and_certain(days, drawdown):
    trader = add_ranked()
    for place, index in enumerate(days):
        add_nav(trader, len(days) - place, index)

    assert row(publish()["30"], trader).max_drawdown == pytest.approx(drawdown)


@pytest.mark.django_db
def test_a_peak_before_the_window_does_not_count_in_it():
    trader = add_ranked()
    add_nav(trader, 20, [1, 4])
    add_nav(trader, 2, [2, 1.9])
    boards = publish()

    assert row(boards["7"], trader).max_drawdown == pytest.approx(0.05)
    assert row(boards["30"], trader).max_drawdown == pytest.approx(1 - 1.9 / 4)


KNOWN = st.floats(0, 1e9, allow_nan=False)
ROWS = st.lists(
    st.fixed_dictionaries({name: st.none() | KNOWN for name in WEIGHTS}), min_size=1, max_size=6
)


def bounds_of(rows):
    bounds = {}
    for name in WEIGHTS:
        known = [values[name] for values in rows if values[name] is not None]
        bounds[name] = (min(known), max(known)) if known else None
    return bounds


@given(ROWS, st.floats(0.01, 100))
def test_a_score_lies_between_0_and_1_whatever_the_scale_of_the_weights(rows, scale):
    bounds = bounds_of(rows)
    scaled = {name: weight * scale for name, weight in WEIGHTS.items()}
    for values in rows:
        score = scoring.score(scoring.explain(values, bounds, WEIGHTS))
        assert 0 <= score <= 1
        again = scoring.score(scoring.explain(values, bounds, scaled))
        assert again == pytest.approx(score, abs=1.01e-4)


@given(ROWS, st.sampled_from(sorted(WEIGHTS)))
def test_a_better_value_never_lowers_a_score_within_the_same_bounds(rows, name):
    bounds = bounds_of(rows)
    if bounds[name] is None:
        return
    low, high = bounds[name]
    worst, best = (high, low) if name in scoring.INVERTED else (low, high)
    for values in rows:
        worse = scoring.score(scoring.explain(values | {name: worst}, bounds, WEIGHTS))
        better = scoring.score(scoring.explain(values | {name: best}, bounds, WEIGHTS))
        assert worse <= better


def fall(points):
    """Return the drawdown of days as (open, low, high, close), by every pair of them."""
    falls = [
        1 - below / above
        for place, (_, _, high, _) in enumerate(points)
        for below, above in [
            (points[place][1], points[place][0]),
            (points[place][3], high),
            *((low, high) for _, low, _, _ in points[place + 1 :]),
        ]
        if above
    ]
    return max(falls, default=None)


@pytest.mark.django_db
def test_every_window_has_the_falls_of_its_own_days():
    numbers = random.Random(5)
    days: dict[int, dict[int, tuple[float, ...]]] = {}
    for _ in range(40):
        trader, at = add_ranked(), 1.0
        days[trader.pk] = {}
        for ago in sorted(numbers.sample(range(120), numbers.randrange(1, 9)), reverse=True):
            points = [at, *(round(at * numbers.uniform(0.6, 1.5), 6) for _ in range(3))]
            at = points[-1]
            add_nav(trader, ago, points, volume_usd=ago + 1, wins=1, losses=ago % 2)
            days[trader.pk][ago] = (points[0], min(points[1:]), max(points[1:]), at)

    boards = publish()

    for window, length in WINDOWS.items():
        for told in LeaderboardMetric.objects.filter(board=boards[window]):
            within = {
                ago: day
                for ago, day in days[told.trader_id].items()
                if length is None or ago <= length
            }
            assert told.max_drawdown == pytest.approx(fall(list(within.values())))
            assert told.total_volume_usd == sum(ago + 1 for ago in within)
            assert (told.wins, told.losses) == (len(within), sum(ago % 2 for ago in within))
