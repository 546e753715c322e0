"""The golden cases of the scoring reference, where it lies beside the checkout."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from leaderboard import scoring
from tests.leaderboard.history import add_day, add_nav, add_ranked, publish, row
from traders import equity

BESIDE = Path(__file__).parents[3] / "shared" / "data"
FILE = (
    Path(os.environ.get("HLCOPY_SHARED_DATA", BESIDE)).parent / "reference" / "scoring_cases.json"
)
CASES = json.loads(FILE.read_text())["cases"] if FILE.exists() else []
NAMES = {
    "account_age": "account_age_days",
    "volume": "total_volume_usd",
    "drawdown": "max_drawdown",
    "fifth": "account_age_days",
}

pytestmark = pytest.mark.shared_data


def cases(kind):
    found = [pytest.param(case, id=case["id"]) for case in CASES if case["kind"] == kind]
    skipped = pytest.param(None, marks=pytest.mark.skip(reason=f"no {FILE}"))
    return pytest.mark.parametrize("case", found or [skipped])


def named(values):
    return {NAMES.get(name, name): value for name, value in values.items()}


def approximately(expected, case):
    return pytest.approx(expected, abs=case["abs_tol"])


@cases("seed_score")
def test_the_classic_score(case):
    rows = {name: named(values) for name, values in case["input"]["traders"].items()}
    weights = named(case["input"]["weights"])
    columns = {name: [values[name] for values in rows.values()] for name in weights}
    bounds = {name: (min(column), max(column)) for name, column in columns.items()}

    scores = {
        name: scoring.score(scoring.explain(values, bounds, weights))
        for name, values in rows.items()
    }

    assert scores == approximately(case["expect"]["score"], case)


@cases("weighted_sum")
def test_the_weighted_sum(case):
    weights = named(case["input"]["weights"])
    values = named(case["input"]["normalised"])
    values["max_drawdown"] = 1 - values["max_drawdown"]  # the case has it inverted already
    parts = scoring.explain(values, dict.fromkeys(weights, (0.0, 1.0)), weights)

    assert scoring.score(parts) == approximately(case["expect"]["score"], case)


@cases("normalise")
def test_min_max(case):
    given = case["input"]
    vectors = given.get("vectors") or [given["x"]]
    expected = case["expect"]["minmax"] if "vectors" in given else [case["expect"]["minmax"]]
    for vector, wanted in zip(vectors, expected, strict=True):
        known = [value for value in vector if value is not None]
        bounds = {"win_rate": (min(known), max(known))}
        parts = [
            scoring.explain({"win_rate": value}, bounds, {"win_rate": 1})["win_rate"]
            for value in vector
        ]
        assert [part.contribution for part in parts] == approximately(wanted, case)


@cases("wilson")
@pytest.mark.django_db
def test_the_lower_end_of_the_win_rate(case):
    for (wins, trips), lower in zip(case["input"]["pairs"], case["expect"]["lower"], strict=True):
        trader = add_ranked()
        add_day(trader, wins=wins, losses=trips - wins, gross_profit=wins, gross_loss=1)
        assert row(publish()["30"], trader).win_rate_wilson == approximately(lower, case)


@cases("episode_stats")
@pytest.mark.django_db
def test_what_round_trips_tell(case):
    nets = case["input"]["nets"]
    wins, losses = [net for net in nets if net > 0], [net for net in nets if net < 0]
    trader = add_ranked()
    add_day(
        trader,
        closed=len(nets),
        wins=len(wins),
        losses=len(losses),
        gross_profit=float(sum(wins)),
        gross_loss=float(-sum(losses)),
    )
    expect = case["expect"]

    metric = row(publish()["30"], trader)

    assert (
        (metric.closed_trips, metric.wins, metric.losses)
        == (
            expect["n_closed"],
            expect["wins"],
            expect["losses"],
        )
        if "wins" in expect
        else metric.closed_trips == expect["n_closed"]
    )
    assert metric.win_rate == (expect["win_rate"] and approximately(expect["win_rate"], case))
    assert metric.profit_factor == (
        expect["profit_factor"] and approximately(expect["profit_factor"], case)
    )
    if expect.get("payoff"):
        assert metric.risk_ratio == approximately(expect["payoff"], case)


@cases("returns")
@pytest.mark.django_db
def test_the_drawdown_of_the_chained_returns(case):
    values = [Decimal(str(value)) for value in case["input"]["account_value"]]
    earned = [Decimal(str(value)) for value in case["input"]["pnl"]]
    index, trader = [equity.START], add_ranked()
    for place in range(1, len(values)):
        before, now = values[place - 1], values[place]
        flow = now - before - (earned[place] - earned[place - 1])
        told = equity.period_return(before, now, flow)
        if told is not None:
            index.append(equity.chained(index[-1], told))
            add_nav(trader, len(values) - place, [float(value) for value in index[-2:]])
    if len(index) == 1:
        add_day(trader)
    expected = case["expect"].get("mdd_nav", None)

    drawdown = row(publish()["30"], trader).max_drawdown

    if "mdd_nav" in case["expect"] or len(index) == 1:
        assert drawdown == (None if expected is None else approximately(expected, case))


@cases("risk")
@pytest.mark.django_db
def test_the_drawdown_of_daily_returns(case):
    index, trader = [1.0], add_ranked()
    for place, told in enumerate(case["input"]["returns"]):
        index.append(index[-1] * (1 + told))
        add_nav(trader, 20 - place, index[-2:])

    assert row(publish()["30"], trader).max_drawdown == approximately(case["expect"]["mdd"], case)
