"""The boards as they are read: a page of rows, one trader's rows, why a trader has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F, QuerySet

from leaderboard import scoring
from leaderboard.carried import Carried
from leaderboard.metrics import METRICS, WINDOWS
from leaderboard.models import Board, LeaderboardMetric
from traders.models import Trader

SORTABLE = (
    "trader_score",
    *(name for name, metric in METRICS.items() if metric.kind != "flag"),
)
# What changes between two rankings is read when a page is made: one index probe each.
PRESENT = """
SELECT trader.id, trader.address, trader.first_seen_at,
       CASE WHEN ledger.floors <> '{}'
            THEN (SELECT count(*) FROM traders_position WHERE trader_id = trader.id) END,
       (SELECT created_at FROM traders_positionevent WHERE trader_id = trader.id
         ORDER BY id DESC LIMIT 1)
  FROM traders_trader trader
  LEFT JOIN traders_ledger ledger ON ledger.trader_id = trader.id
 WHERE trader.id = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a board are wanted; `limits` are lookups such as `win_rate__gte`."""

    sort_by: str = "trader_score"
    descending: bool = True
    limit: int = 100
    offset: int = 0
    limits: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A row of a board, with what is known of the trader now.

    `coverage`: for what share of the window, since the trader was first seen, the feed was carried.
    """

    metric: LeaderboardMetric
    board: Board
    address: str
    first_seen_at: datetime
    open_positions: int | None
    last_event_at: datetime | None
    coverage: float | None

    @property
    def components(self) -> dict[str, scoring.Component]:
        """What each metric contributes to the score."""
        values = {name: getattr(self.metric, name) for name in self.board.weights}
        floats = {name: None if value is None else float(value) for name, value in values.items()}
        return scoring.explain(floats, self.board.bounds, self.board.weights)


def newest_board(preset: str, window: str) -> Board | None:
    """Return the board that is shown; None before the first ranking."""
    return Board.objects.filter(preset=preset, window=window).order_by("-id").first()


def count(board: Board, selection: Selection) -> int:
    """Return how many rows there are in all."""
    return _rows(board, selection).count() if selection.limits else board.traders


def page(board: Board, selection: Selection) -> list[Ranked]:
    """Return the rows in their order: unknown last, equal ones by rank.

    Who was removed since the ranking is left out: a page is shorter then, and no other row moves.
    """
    rows = _rows(board, selection)
    if selection.sort_by == "trader_score":
        rows = rows.order_by("id" if selection.descending else "-id")
    else:
        key = F(selection.sort_by)
        descending = key.desc(nulls_last=True)
        rows = rows.order_by(descending if selection.descending else key.asc(nulls_last=True), "id")
    return _with_present(board, rows[selection.offset : selection.offset + selection.limit])


def of_trader(board: Board, trader_id: int) -> Ranked | None:
    """Return one trader's row; None for who is not ranked."""
    found = _with_present(board, LeaderboardMetric.objects.filter(board=board, trader=trader_id))
    return found[0] if found else None


def why_unranked(trader: Trader) -> str:
    """Return why a trader is on no board."""
    if trader.quarantined_at is not None:
        return "in quarantine: the numbers stand still"
    if trader.last_tracked_at is None:
        return "no snapshot of the account yet"
    return "not seen since the last ranking"


def _rows(board: Board, selection: Selection) -> QuerySet[LeaderboardMetric]:
    return LeaderboardMetric.objects.filter(board=board, **selection.limits)


def _with_present(board: Board, rows: Sequence[LeaderboardMetric] | QuerySet[Any]) -> list[Ranked]:
    metrics = list(rows)
    with connection.cursor() as cursor:
        cursor.execute(PRESENT, [[metric.trader_id for metric in metrics]])
        present = {trader_id: known for trader_id, *known in cursor.fetchall()}
    window_days = WINDOWS[board.window]
    carried = Carried(board.feed_days, now=board.updated_at, window_days=window_days)
    ranked = []
    for metric in metrics:
        if metric.trader_id not in present:
            continue
        address, first_seen_at, positions, last_event_at = present[metric.trader_id]
        share = carried.share(first_seen_at)
        ranked.append(
            Ranked(metric, board, address, first_seen_at, positions, last_event_at, share)
        )
    return ranked
