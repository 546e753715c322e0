"""The golden cases of the definitions of episodes, flows and returns."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from traders import episodes, equity, positions
from traders.positions import Fill, Position, Side

DATA = Path(
    os.environ.get("HLCOPY_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared/data")
)
CASES = DATA.parent / "reference" / "scoring_cases.json"
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not CASES.is_file(), reason="the golden cases are not at hand"),
]
SIDES: dict[str, Side] = {"B": "BUY", "A": "SELL"}
RATES = {"taker": Decimal("0.00045"), "maker": Decimal("0.00015")}


def cases(kind):
    if not CASES.is_file():
        return []
    many = json.loads(CASES.read_text(), parse_float=Decimal)["cases"]
    return [pytest.param(case, id=case["id"]) for case in many if case["kind"] == kind]


def close(value, expected, case):
    if value is None or expected is None:
        return value is expected
    return abs(Decimal(value) - Decimal(expected)) <= Decimal(case["abs_tol"])


def all_close(values, expected, case):
    return all(close(one, other, case) for one, other in zip(values, expected, strict=True))


def fee_rate(row):
    notional = Decimal(row["px"]) * Decimal(row["sz"])
    return Decimal(row["fee"]) / notional if "fee" in row else RATES[row["role"]]


def play(case):
    """Play the case's fills; return the position, its entry prices and all steps."""
    position, episode = Position("X"), None
    entries, steps = [], []
    funding = sum(Decimal(row["usd"]) for row in case["input"].get("funding", [])) or None
    for row in case["input"]["fills"]:
        fill = Fill("X", SIDES[row["side"]], Decimal(row["px"]), Decimal(row["sz"]))
        position, changes = positions.apply(position, fill)
        entries.append(position.entry_price if position.size else None)
        for change in changes:
            step = episodes.apply(
                episode,
                change,
                price=change.price,
                at_ms=row["time"],
                fee_rate=fee_rate(row),
                funding=funding,
            )
            episode = step.episode
            steps.append(step)
    return position, entries, steps


@pytest.mark.parametrize("case", cases("position"))
def test_positions_and_their_round_trips(case):
    start = case["input"]["start"]
    if start is None or "trades" in case["input"]:
        pytest.skip("unknown starts and self-crosses are the trade feed's")
    expect = case["expect"]
    position, entries, steps = play(case)

    assert position.size == expect["size"]
    assert close(sum(step.volume for step in steps), expect["volume"], case)
    assert close(sum(step.fee for step in steps), expect["fees"], case)
    assert close(sum(step.realised for step in steps), expect["gross_realised"], case)
    for entry, expected in zip(entries, expect.get("entry_after_each", entries), strict=True):
        assert close(entry, expected, case)
    trips = [step.round_trip for step in steps if step.round_trip]
    for trip, expected in zip(trips, expect["episodes"], strict=True):
        assert trip.side == expected["side"].upper()
        assert (trip.opened_at_ms, trip.closed_at_ms) == (
            expected["open_time"],
            expected["close_time"],
        )
        assert trip.peak_size == expected["peak_size"]
        assert close(trip.gross_pnl, expected["gross"], case)
        assert close(trip.net_pnl, expected["net"], case)
    if "losses" in expect:
        assert sum(trip.net_pnl < 0 for trip in trips) == expect["losses"]


@pytest.mark.parametrize("case", cases("reconcile"))
def test_a_missed_trade_has_the_price_that_the_entries_imply(case):
    def side(name):
        values = case["input"][name]
        return {"X": Position("X", Decimal(values["size"]), Decimal(values["entry"]))}

    [change] = positions.diff(side("tracked"), side("snapshot"))

    assert change.kind == case["expect"]["event"]
    assert change.size_after - change.size_before == case["expect"]["delta"]
    assert close(change.price, case["expect"]["implied_missed_px"], case)


@pytest.mark.parametrize("case", cases("inferred_flow"))
def test_flows_are_what_trading_does_not_explain(case):
    before, now, pnl = (
        Decimal(case["input"][key]) for key in ("prev_equity", "now_equity", "tracked_pnl")
    )

    flow = equity.inferred_flow(before, now, pnl)

    assert close(flow, case["expect"]["flow"], case)
    assert close(now - before - flow, case["expect"]["pnl"], case)


@pytest.mark.parametrize("case", cases("returns"))
def test_returns_and_their_index(case):
    values = [Decimal(value) for value in case["input"]["account_value"]]
    pnls = [Decimal(value) for value in case["input"]["pnl"]]
    flows, returns, index = [], [], [equity.START]
    for (before, now), (pnl_before, pnl_now) in zip(pairwise(values), pairwise(pnls), strict=True):
        flows.append(now - before - (pnl_now - pnl_before))
        returns.append(equity.period_return(before, now, flows[-1]))
        earned = returns[-1]
        index.append(index[-1] if earned is None else equity.chained(index[-1], earned))

    expect = case["expect"]
    assert all_close(flows, expect["flows"], case)
    assert all_close(returns, expect["returns"], case)
    assert all_close(index, expect.get("nav", index), case)
    twr = None if set(returns) <= {None} else index[-1] - 1
    assert close(twr, expect["twr"], case)
