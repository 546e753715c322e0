"""What the leaderboard's routes take and give."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from rest_framework import serializers

from hlcopy.configuration import PRESETS
from hlcopy.decimals import plain
from leaderboard.metrics import METRICS, WINDOWS
from leaderboard.models import Board
from leaderboard.reading import SORTABLE, Ranked, Selection
from leaderboard.scoring import shares
from traders.serializers import MAX_LIMIT, MAX_OFFSET, ChoiceField, Query

#: Metrics that can be asked for with `min_<name>` and `max_<name>`.
LIMITED = ("total_volume_usd", "closed_trips", "account_age_days", "win_rate")
DECIMALS = {"usd": 2, "share": 6, "ratio": 4, "days": 4, "seconds": 3}


class Preset(Query):
    """Where only the preset can be chosen."""

    preset = ChoiceField(tuple(PRESETS), required=False)


class BoardQuery(Preset):
    """`/api/v1/leaderboard`."""

    sort_by = ChoiceField(SORTABLE, default="trader_score")
    order = ChoiceField(("desc", "asc"), default="desc")
    limit = serializers.IntegerField(min_value=1, max_value=MAX_LIMIT, default=100)
    offset = serializers.IntegerField(min_value=0, max_value=MAX_OFFSET, default=0)
    window = ChoiceField(tuple(WINDOWS), default="30")

    def get_fields(self) -> dict[str, Any]:
        """Add the limits of the metrics that have them."""
        fields = super().get_fields()
        for name in LIMITED:
            for end in ("min", "max"):
                fields[f"{end}_{name}"] = serializers.DecimalField(
                    max_digits=30, decimal_places=10, required=False
                )
        return fields


def selection(query: dict[str, Any]) -> Selection:
    """Return what a checked query asks for."""
    lookups = {"min": "gte", "max": "lte"}
    return Selection(
        query["sort_by"],
        query["order"] == "desc",
        query["limit"],
        query["offset"],
        {
            f"{name}__{lookup}": query[f"{end}_{name}"]
            for name in LIMITED
            for end, lookup in lookups.items()
            if f"{end}_{name}" in query
        },
    )


def plain_float(value: float, digits: int) -> str:
    """Return the rounded number without trailing zeros."""
    return plain(Decimal(f"{value:.{digits}f}"))


def metrics(row: Ranked) -> dict[str, Any]:
    """Return the catalogue's values of a row: decimals are text, counts are numbers."""
    values: dict[str, Any] = {}
    for name, metric in METRICS.items():
        value, digits = getattr(row.metric, name), DECIMALS.get(metric.kind)
        values[name] = value if value is None or digits is None else plain_float(value, digits)
    return values


def published(row: Ranked) -> dict[str, Any]:
    """Return a row of the leaderboard."""
    components = row.components
    return {
        "rank": row.metric.rank,
        "trader_id": row.metric.trader_id,
        "address": row.address,
        "trader_score": plain_float(row.metric.trader_score, 4),
        **metrics(row),
        "age_is_lower_bound": True,
        "tracking_since": row.first_seen_at,
        "coverage": None if row.coverage is None else plain_float(row.coverage, 6),
        "missing": [name for name, part in components.items() if part.value is None],
        "components": {name: explained(part) for name, part in components.items()},
        "open_positions": row.open_positions,
        "last_event_at": row.last_event_at,
        "updated_at": row.board.updated_at,
    }


def explained(component: Any) -> dict[str, str | None]:
    """Return what a metric contributes to the score."""
    return {
        name: None if value is None else plain_float(value, 6)
        for name, value in msgspec.structs.asdict(component).items()
    }


def told_weights(weights: dict[str, float]) -> dict[str, str]:
    """Return the weights as they were set, in the order of the components."""
    return {name: plain_float(weights[name], 9) for name in shares(weights)}


def head(preset: str, window: str, board: Board | None) -> dict[str, Any]:
    """Return what is the same for all rows of a board; null before the first ranking."""
    return {
        "preset": preset,
        "window": window,
        "weights": told_weights(board.weights) if board else None,
        "weights_hash": board.weights_hash if board else None,
        "updated_at": board.updated_at if board else None,
        "generation": board.pk if board else None,
    }
