"""A large book, and trades that go on with it: heavy-tailed in traders, coins, sizes and blocks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from decimal import Decimal
from itertools import accumulate

from django.db import connection

from exchange.wire import Side, Trade
from traders.cursors import Arrival

COINS = tuple(f"C{number:03}" for number in range(200))
START_MS = 1_790_000_000_000
#: Every other side of a trade is one of so few; the others' activity falls off steeply.
MARKET_MAKERS = 300
#: Shares of frames with 1, 2, ... trades, as recorded; at most 20.
FRAME_SIZES = (67, 17, 6, 3, 2, 1.2, 0.8, 0.6, 0.5, 0.4, *(0.15,) * 10)
LEDGERS = """
INSERT INTO traders_ledger (trader_id, floors, bases, doubts, emptied)
SELECT id, jsonb_build_object('', %s::bigint), '{}', '{}', '{}' FROM traders_trader
ON CONFLICT (trader_id) DO NOTHING
"""
# Three coins of each: one of the 4 that are traded most, of the next 20, and of the others.
POSITIONS = """
INSERT INTO traders_position (
    trader_id, dex, coin, size, entry_price, opened_at_ms, peak_size, realised_pnl, fees,
    leverage_type, notional, unrealised_pnl, leverage, margin_used, mark_price, as_of_ms)
SELECT id, '', 'C' || lpad((least + id * 7919 %% many)::text, 3, '0'),
       CASE WHEN id %% 2 = 0 THEN 1 ELSE -1 END * (1 + id %% 900) / 100.0, 100.25, %s, 9, 1.5, 0.25,
       'cross', 120.5, 2.25, 10, 12.5, 101.5, %s
  FROM traders_trader, (VALUES (0, 4), (4, 20), (24, 176)) AS coins (least, many)
"""
CURSORS = """
INSERT INTO traders_feedcursor (coin, keys, floor_ms, newest_ms, trades, late)
SELECT coin, '', %s, %s, 0, 0 FROM unnest(%s::text[]) AS coin
"""


def load() -> None:
    """Give every trader a known base and three positions, and every coin a cursor."""
    floor_ms = START_MS - 1
    with connection.cursor() as cursor:
        cursor.execute(LEDGERS, [floor_ms])
        cursor.execute(POSITIONS, [floor_ms, floor_ms])
        cursor.execute(CURSORS, [floor_ms, floor_ms, list(COINS)])
        for table in ("traders_ledger", "traders_position", "traders_feedcursor"):
            cursor.execute(f"VACUUM ANALYZE {table}")
        cursor.execute("CHECKPOINT")


def addresses() -> list[str]:
    """Return those of all traders."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT address FROM traders_trader ORDER BY id")
        return [address for (address,) in cursor.fetchall()]


class Market:
    """Frames of trades among these traders, ever later."""

    def __init__(
        self, traders: Sequence[str], numbers: random.Random, *, days_later: int = 0
    ) -> None:
        """Nothing has been traded yet; two markets of one book begin on different days."""
        self._traders = traders
        self._numbers = numbers
        self._weights = list(accumulate(1 / (rank + 1) for rank in range(len(COINS))))
        self._sizes = list(accumulate(FRAME_SIZES))
        self._prices = [Decimal(numbers.randint(10, 10_000_000)).scaleb(-2) for _ in COINS]
        self._time_ms = START_MS + days_later * 86_400_000
        self._tid = days_later * 10**9

    def batch(self, trades: int) -> list[Arrival]:
        """Return frames of so many trades together, no block twice."""
        frames = []
        while trades:
            frames.append(self._frame(trades))
            trades -= len(frames[-1].trades)
        return frames

    def _frame(self, most: int) -> Arrival:
        """Let one taker meet as many makers as a frame has trades."""
        numbers = self._numbers
        self._time_ms += numbers.randint(1, 40)
        (count,) = numbers.choices(range(1, 21), cum_weights=self._sizes)
        (place,) = numbers.choices(range(len(COINS)), cum_weights=self._weights)
        taker, bought = self._trader(), numbers.random() < 0.5
        trades = tuple(self._trade(place, taker, bought=bought) for _ in range(min(count, most)))
        return Arrival(COINS[place], trades, clock_ms=self._time_ms)

    def _trade(self, place: int, taker: str, *, bought: bool) -> Trade:
        """Let one maker meet the taker; the price may have moved by a tick or two."""
        numbers, maker = self._numbers, self._trader()
        price = max(Decimal("0.01"), self._prices[place] + numbers.randint(-2, 2) * Decimal("0.01"))
        self._prices[place] = price
        self._tid += 1
        return Trade(
            coin=COINS[place],
            side=Side.BUY if bought else Side.SELL,
            price=price,
            size=Decimal(int(numbers.paretovariate(0.9)) % 100_000 + 1).scaleb(-2),
            time_ms=self._time_ms,
            tid=self._tid,
            hash="",
            buyer=taker if bought else maker,
            seller=maker if bought else taker,
        )

    def _trader(self) -> str:
        numbers, traders = self._numbers, self._traders
        if numbers.random() < 0.5:
            return traders[int(MARKET_MAKERS * numbers.random() ** 2)]
        return traders[int(len(traders) * numbers.random() ** 4)]
