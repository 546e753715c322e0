"""Real accounts' fills, replayed: each chain of positions and each direction is reproduced."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from traders.positions import Fill, Position, Side, apply

DATA = Path(
    os.environ.get("HLCOPY_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared/data")
)
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the recorded accounts are not at hand"),
]
SIDES: dict[str, Side] = {"B": "BUY", "A": "SELL"}
WORDS = {
    ("OPEN", 1): "Open Long",
    ("OPEN", -1): "Open Short",
    ("INCREASE", 1): "Open Long",
    ("INCREASE", -1): "Open Short",
    ("DECREASE", 1): "Close Long",
    ("DECREASE", -1): "Close Short",
    ("CLOSE", 1): "Close Long",
    ("CLOSE", -1): "Close Short",
}


def recordings():
    return sorted(DATA.glob("userFillsByTime_*.json"))


def fills_by_coin(path):
    """Return the perpetuals' fills, oldest first as they came; spot and outcomes are none."""
    chains: dict[str, list[dict[str, Any]]] = {}
    for row in json.loads(path.read_text(), parse_float=Decimal):
        if row["coin"][0] not in "@#" and "/" not in row["coin"]:
            chains.setdefault(row["coin"], []).append(row)
    return chains


def direction(changes):
    if len(changes) == 2:
        return "Long > Short" if changes[0].size_before > 0 else "Short > Long"
    [change] = changes
    return WORDS[change.kind, 1 if (change.size_before or change.size_after) > 0 else -1]


@pytest.mark.parametrize("path", recordings(), ids=lambda path: path.stem)
def test_every_position_and_direction_of_a_recorded_account_is_reproduced(path):
    chains = fills_by_coin(path)
    for coin, rows in chains.items():
        start = Decimal(rows[0]["startPosition"])
        position = Position(coin, start, Decimal(rows[0]["px"]) if start else Decimal(0))
        for row in rows:
            assert position.size == Decimal(row["startPosition"]), (coin, row["tid"])
            fill = Fill(coin, SIDES[row["side"]], Decimal(row["px"]), Decimal(row["sz"]))
            position, changes = apply(position, fill)
            assert direction(changes) == row["dir"], (coin, row["tid"])

    assert chains
