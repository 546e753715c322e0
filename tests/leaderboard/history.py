"""Traders with a history, for tests of the leaderboard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from leaderboard import ranking
from leaderboard.models import Board, LeaderboardMetric
from tests.traders.book import address
from traders.models import Trader, TraderDay

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
WEIGHTS = {
    "win_rate": 0.3,
    "max_drawdown": 0.25,
    "total_volume_usd": 0.2,
    "risk_ratio": 0.15,
    "account_age_days": 0.1,
}
_numbers = count(1_000_000)  # no other fixture adds these


def add_ranked(*, age_days: float = 10, tracked: bool = True, **values: Any) -> Trader:
    """Add a trader who was tracked."""
    return Trader.objects.create(
        address=address(next(_numbers)),
        first_seen_at=NOW - timedelta(days=age_days),
        last_tracked_at=NOW if tracked else None,
        **values,
    )


def add_day(trader: Trader, days_ago: int = 0, **values: Any) -> TraderDay:
    """Add one of the trader's days, watched by two snapshots."""
    amounts = {
        name: Decimal(str(value)) if isinstance(value, float) else value
        for name, value in values.items()
    }
    day = (NOW - timedelta(days=days_ago)).date()
    return TraderDay.objects.create(**{"trader": trader, "day": day, "snapshots": 2, **amounts})


def add_nav(trader: Trader, days_ago: int, index: list[float], **values: Any) -> TraderDay:
    """Add a day with this index: before it, its points in order."""
    opening, *points = (Decimal(str(point)) for point in index)
    return add_day(
        trader,
        days_ago,
        nav_open=opening,
        nav_close=points[-1],
        nav_min=min(points),
        nav_max=max(points),
        **values,
    )


def publish(weights: dict[str, float] | None = None) -> dict[str, Board]:
    """Publish the boards of all windows."""
    return ranking.publish(NOW, "classic", weights or WEIGHTS)


def row(board: Board, trader: Trader | int) -> LeaderboardMetric:
    """Return the trader's row of a board."""
    return LeaderboardMetric.objects.get(board=board, trader=trader)


def ranked(board: Board) -> list[int]:
    """Return the traders' numbers by rank."""
    rows = LeaderboardMetric.objects.filter(board=board).order_by("rank")
    return list(rows.values_list("trader_id", flat=True))
