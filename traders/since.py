"""What the feed has brought of one trader lately: what a snapshot is held against."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal

from django.db import connection

from traders.backsolving import WaitedFill
from traders.knowledge import dex_of
from traders.models import FeedCursor, PositionEvent, WaitingFill
from traders.positions import ZERO

#: Who has changed more often than this since a snapshot cannot be judged.
MOST_EVENTS = 2000
NEWEST = """
SELECT coin, exchange_time_ms, size_after - size_before, price, source,
    coalesce((details ->> 'realised_pnl')::numeric, 0) - coalesce((details ->> 'fees')::numeric, 0)
FROM traders_positionevent WHERE trader_id = %s ORDER BY id DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class MovedBy:
    """One event of the feed; `realised_pnl` is after fees."""

    time_ms: int
    size: Decimal
    price: Decimal
    realised_pnl: Decimal


@dataclass(slots=True)
class Since:
    """By coin: fills that wait, changes since a time, oldest first, ends of the last gaps.

    `is_whole`: no change since then is missing here.
    """

    waiting: dict[str, list[WaitedFill]] = field(default_factory=dict)
    moves: dict[str, list[MovedBy]] = field(default_factory=dict)
    gaps: dict[str, int | None] = field(default_factory=dict)
    is_whole: bool = True

    def realised_after(self, dex: str, time_ms: int) -> Decimal:
        """Return what the feed has realised on a dex since then, in USD, after fees."""
        later = [
            move.realised_pnl
            for coin, moves in self.moves.items()
            if dex_of(coin) == dex
            for move in moves
            if move.time_ms > time_ms
        ]
        return sum(later, ZERO)

    def had_gap(self, dex: str, *, after_ms: int) -> bool:
        """Return whether a coin of this dex had a gap that ended after a time.

        Also one that nobody carries by now: what was missed is missing all the same.
        """
        ends = (end for coin, end in self.gaps.items() if dex_of(coin) == dex)
        return any(end is not None and end > after_ms for end in ends)


def read(trader_id: int, dexes: Collection[str], known: Collection[str], *, since_ms: int) -> Since:
    """Return what is known of the trader on these dexes; the caller holds the ledger's lock.

    `known`: coins whose last gap is wanted even if the trader has not moved in them. `since_ms`:
    changes after this exchange time are wanted, whenever they came.
    """
    since = Since()
    waiting = defaultdict(list)
    rows = WaitingFill.objects.filter(trader_id=trader_id).order_by("time_ms", "id")
    for row in rows.iterator():
        if dex_of(row.coin) in dexes:
            fill = WaitedFill(row.time_ms, row.size, row.price, row.is_taker)
            waiting[row.coin].append(fill)
    since.waiting = dict(waiting)
    moves = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(NEWEST, [trader_id, MOST_EVENTS])
        events = cursor.fetchall()
    since.is_whole = len(events) < MOST_EVENTS or events[-1][1] <= since_ms
    for coin, time_ms, size, price, source, realised in reversed(events):
        if source == PositionEvent.Source.FEED and time_ms > since_ms:
            moves[coin].append(MovedBy(time_ms, size, price, realised))
    since.moves = dict(moves)
    coins = set(known) | since.waiting.keys() | since.moves.keys()
    since.gaps = dict(FeedCursor.objects.filter(coin__in=coins).values_list("coin", "gap_until_ms"))
    return since
