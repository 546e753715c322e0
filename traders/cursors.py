"""Which trades of one coin have been counted, and what nobody has received (pure).

A trade's key is (coin, time, tid). A live frame holds one whole block of a coin; a source's frames
come in the order of their blocks. The first frame after each subscribe is a replay of the newest 30
trades, and the oldest block in it may be cut.

A window keeps the keys of the newest trades: whole blocks of them, at least `WINDOW_TRADES`, and
always the newest block. Above its floor, the newest time below all of them, a known key is a repeat
and an unknown one is counted, late or not. At or below the floor nothing can be told apart: what
comes there is a repeat, unless its own source had already brought something newer. Decision 0019.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from operator import itemgetter
from typing import Literal

from exchange.wire import Trade

#: The exchange's busiest block on record has 421 trades of one trader; it is kept whole.
WINDOW_TRADES = 128
Reason = Literal["first", "outage", "late", "overflow", "refused", "drift"]
Key = tuple[int, int]
_KEY = struct.Struct("<qq")


@dataclass(frozen=True, slots=True)
class Start:
    """A trader's position before a fill, as a node tells it; entry price None: not told."""

    size: Decimal
    entry_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """One frame of trades as a source brought it: all of one coin, oldest first, at least one.

    `clock_ms`: the newest block that the source believed in when it came, None before the first.
    `is_late`: the source had brought a newer block of the coin before. `covered_until_ms`, of a
    replay: the source had carried the coin up to here before it lost it. A trade that a node tells
    of one side alone has "" for the other.
    """

    coin: str
    trades: tuple[Trade, ...]
    is_replay: bool = False
    is_late: bool = False
    clock_ms: int | None = None
    covered_until_ms: int | None = None
    #: Whether every trade of the frame could be read.
    is_whole: bool = True
    #: Of a node, whose frames are whole blocks: for each trade the buyer's and the seller's.
    starts: tuple[tuple[Start | None, Start | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Gap:
    """Trades of a coin that nobody received: after `from_ms` (None: ever), up to and with `to_ms`.

    Exchange milliseconds.
    """

    coin: str
    from_ms: int | None
    to_ms: int
    reason: Reason


class Window:
    """What is remembered of one coin; `floor_ms` is None before its first frame."""

    def __init__(self, floor_ms: int | None, newest_ms: int | None, packed: bytes) -> None:
        """Unpack what `packed` had written."""
        self.floor_ms = floor_ms
        self.newest_ms = newest_ms
        self._keys: set[Key] = set(_KEY.iter_unpack(packed))

    def __contains__(self, trade: Trade) -> bool:
        """Return whether the trade is known to have been counted."""
        return (trade.time_ms, trade.tid) in self._keys

    def packed(self) -> bytes:
        """Return the keys, oldest block first, having forgotten those beyond the window."""
        keys = sorted(self._keys, key=itemgetter(0))
        beyond = len(keys) - WINDOW_TRADES
        if beyond > 0:
            # Only whole blocks go, so what is kept of a block tells all of it.
            kept_ms = min(keys[beyond][0], keys[-1][0])
            gone = [time_ms for time_ms, _ in keys[:beyond] if time_ms < kept_ms]
            if gone:
                self.floor_ms = max(self.floor_ms or 0, gone[-1])
                keys = keys[len(gone) :]
                self._keys = set(keys)
        return struct.pack(f"<{2 * len(keys)}q", *chain.from_iterable(keys))

    def take(self, arrival: Arrival) -> tuple[list[Trade], Gap | None]:
        """Return the trades that count now, in order, and the gap that the frame shows, if any."""
        trades = arrival.trades
        if self.floor_ms is None and arrival.starts:
            # A whole block that tells what was before it: it counts.
            self.floor_ms = trades[0].time_ms - 1
            self._remember(trades)
            return list(trades), Gap(arrival.coin, None, trades[0].time_ms - 2, "first")
        if self.floor_ms is None:
            # Nothing tells what was before; these trades are known, but count in nothing.
            self.floor_ms = trades[0].time_ms
            self._remember(trades)
            return [], Gap(arrival.coin, None, trades[-1].time_ms, "first")
        floor_ms = self.floor_ms
        gap = None
        if arrival.is_replay:
            gap = self._missed(arrival)
        elif arrival.is_late and trades[0].time_ms <= floor_ms:
            gap = Gap(arrival.coin, trades[0].time_ms - 1, trades[0].time_ms, "late")
        if gap is None and not arrival.is_whole:
            gap = Gap(arrival.coin, trades[0].time_ms - 1, trades[-1].time_ms, "refused")
        fresh = []
        for trade in trades:
            if trade.time_ms > floor_ms and trade not in self:
                self._keys.add((trade.time_ms, trade.tid))
                fresh.append(trade)
        self._remember(fresh)
        return fresh, gap

    def _missed(self, arrival: Arrival) -> Gap | None:
        """Return the gap before a replay: it has trades that are new, and none that is known."""
        trades = arrival.trades
        oldest_ms = trades[0].time_ms
        if oldest_ms <= (self.floor_ms or 0) or any(trade in self for trade in trades):
            return None
        before = [time_ms for time_ms, _ in self._keys if time_ms < oldest_ms]
        known_ms = max(before, default=self.floor_ms or 0)
        covered_ms = min(arrival.covered_until_ms or known_ms, oldest_ms - 1)
        # The replay's oldest block may be cut; a node's is whole, so what was told before it holds.
        begin_ms = max(known_ms, covered_ms)
        end_ms = oldest_ms - 2 if arrival.starts else oldest_ms
        return Gap(arrival.coin, begin_ms, end_ms, "outage") if begin_ms < end_ms else None

    def _remember(self, trades: Sequence[Trade]) -> None:
        self._keys.update((trade.time_ms, trade.tid) for trade in trades)
        if trades:
            self.newest_ms = max(self.newest_ms or 0, *(trade.time_ms for trade in trades))
