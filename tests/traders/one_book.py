"""What the book has of one trader, read at once: cheap enough for thousands of looks at it."""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection

from traders.cursors import Gap
from traders.knowledge import CoinFeed, Standing, floor_ms, standing_of

COINS = """
SELECT feed.coin, feed.newest_ms, feed.floor_ms, feed.trades, feed.gap_until_ms,
    coalesce(held.size, 0), floors, bases, doubts
FROM traders_feedcursor AS feed CROSS JOIN traders_ledger AS ledger
LEFT JOIN traders_position AS held ON held.trader_id = ledger.trader_id AND held.coin = feed.coin
WHERE ledger.trader_id = %s
"""
GAPS = "SELECT coin, from_ms, to_ms, reason FROM traders_feedgap ORDER BY id"
FILLS = "SELECT coalesce(sum(fills), 0) FROM traders_traderday WHERE trader_id = %s"
EVENTS = """
SELECT id, coin, size_before, size_after FROM traders_positionevent WHERE id > %s ORDER BY id
"""


class CoinBook(NamedTuple):
    """One coin: its cursor, and the trader's size and what would be shown of it, if carried."""

    newest_ms: int
    floor_ms: int
    trades: int
    size: Decimal
    standing: Standing

    @property
    def is_fresh(self) -> bool:
        return self.standing.known and not self.standing.stale


class Book:
    """The book as it was when it was read; `events` are those after an id, of everybody."""

    def __init__(self, trader_id: int, *, after: int = 0) -> None:
        self.coins = {coin: _coin_book(coin, *row) for coin, *row in _rows(COINS, trader_id)}
        [(self.fills,)] = _rows(FILLS, trader_id)
        self.events = _rows(EVENTS, after)
        self.gaps: dict[str, list[Gap]] = defaultdict(list)
        for row in _rows(GAPS):
            self.gaps[row[0]].append(Gap(*row))


def _coin_book(
    coin: str, newest_ms: int, *row: *tuple[int, int, int | None, Decimal, str, str, str]
) -> CoinBook:
    from_ms, trades, gap_until_ms, size, *ledger = row
    floors, bases, doubts = map(json.loads, ledger)
    floor = floor_ms(floors, bases, doubts, coin)
    feed = CoinFeed(gap_until_ms, True, newest_ms)
    standing = standing_of(floor, feed, is_doubted=coin in doubts)
    return CoinBook(newest_ms, from_ms, trades, size, standing)


def _rows(statement: str, *about: int) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, about)
        return list(cursor.fetchall())
