"""From the lines of a node's file to whole blocks, and from a block to its trades (pure).

A block is all that has one exchange time. A trade stands there twice, once for each side, with one
`tid`; a fill without its other side (a settlement, vaults that are netted, a damaged line) is told
of one trader alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b

import msgspec

from exchange.node import NodeFill, NodeLine
from exchange.wire import Side, Trade
from traders.cursors import Start
from traders.episodes import EXACT
from traders.positions import rounded_price

#: By so much a block may lie apart from its neighbours; beyond, the next one has to be there too.
AHEAD_MS = 60_000
Told = tuple[Start | None, Start | None]


@dataclass(slots=True)
class NodeBlock:
    """The fills of one exchange time; `end`: where the file goes on after it, in bytes.

    `line`: the number of its last line, counted from where reading began. `damaged`: lines, and
    fills within lines, that could not be read since the block before: something is missing there.
    """

    time_ms: int
    fills: list[NodeFill]
    end: int
    line: int
    damaged: int = 0


class Blocks:
    """Puts lines together; `newest_ms` is the time of the last block that was given out."""

    def __init__(self, newest_ms: int | None = None) -> None:
        """Go on after the block of that time."""
        self.newest_ms = newest_ms
        self._waiting: NodeBlock | None = None
        self._damaged = 0

    def damage(self) -> None:
        """Take a line that cannot be read."""
        self._damaged += 1

    def add(
        self, line: NodeLine, *, begin: int, end: int, number: int
    ) -> tuple[list[NodeBlock], str]:
        """Return the blocks that a line finishes, and what is wrong with it, if anything."""
        self._damaged += line.bad
        done: list[NodeBlock] = []
        wrong = f"{line.bad} bad fills" if line.bad else ""
        if not line.fills:
            return done, wrong
        time_ms = line.fills[0].time_ms
        waiting = self._waiting
        if waiting is not None and time_ms != waiting.time_ms:
            if time_ms < waiting.time_ms - AHEAD_MS and self._is_ahead(waiting.time_ms):
                self._damaged += waiting.damaged + 1
                self._waiting = None
                wrong = "the block before it is of a time to come"
            else:
                done += self._give(begin, number - 1)
        if self.newest_ms is not None and time_ms < self.newest_ms - AHEAD_MS:
            self._damaged += 1
            return done, "a block of a time long gone"
        if self._waiting is None:
            self._waiting = NodeBlock(time_ms, [], end, number)
        self._waiting.fills += line.fills
        if line.is_block and not self._is_ahead(time_ms):
            done += self._give(end, number)
        return done, wrong

    def rest(self, end: int, number: int, *, before_ms: int) -> list[NodeBlock]:
        """Return the block that waited for more lines, now that no more come.

        One that is ahead of all others is believed up to `before_ms` only.
        """
        waiting = self._waiting
        if waiting is None or (self._is_ahead(waiting.time_ms) and waiting.time_ms > before_ms):
            return []
        return self._give(end, number)

    @property
    def is_clean(self) -> bool:
        """Whether everything is given out, and nothing since was damaged."""
        return self._waiting is None and not self._damaged

    def _is_ahead(self, time_ms: int) -> bool:
        return self.newest_ms is None or time_ms > self.newest_ms + AHEAD_MS

    def _give(self, end: int, number: int) -> list[NodeBlock]:
        block, self._waiting = self._waiting, None
        if block is None:
            return []
        self.newest_ms = max(self.newest_ms or 0, block.time_ms)
        block.end, block.line = end, number
        block.damaged, self._damaged = self._damaged, 0
        return [block]


def trades_of(fills: Iterable[NodeFill]) -> dict[str, tuple[list[Trade], list[Told]]]:
    """Return each coin's trades in order, with the starts of buyer and seller."""
    coins: dict[str, tuple[list[Trade], list[Told]]] = {}
    halves: dict[tuple[str, int], tuple[int, NodeFill]] = {}
    used: set[tuple[str, int]] = set()
    for fill in fills:
        trades, starts = coins.setdefault(fill.coin, ([], []))
        key = (fill.coin, fill.tid)
        place, other = halves.get(key, (0, None))
        if other is not None and _are_one(other, fill):
            del halves[key]
            trades[place] = _whole(trades[place], fill)
            told = starts[place]
            starts[place] = (
                (start_of(fill), told[1]) if fill.side is Side.BUY else (told[0], start_of(fill))
            )
            continue
        tid = fill.tid
        if tid == 0 or key in used:
            tid = _own_tid(fill)
        else:
            used.add(key)
            halves[key] = (len(trades), fill)
        trades.append(_half(fill, tid))
        start = start_of(fill)
        starts.append((start, None) if fill.side is Side.BUY else (None, start))
    return coins


def start_of(fill: NodeFill) -> Start | None:
    """Return the position before a fill; a fill that closes tells the entry price as well."""
    if fill.start is None:
        return None
    closed = _closed(fill, fill.start)
    # 0 is also written where nobody has computed it.
    if not closed or not fill.closed_pnl:
        return Start(fill.start)
    earned = EXACT.divide(fill.closed_pnl, closed)
    entry = rounded_price(fill.price - earned if fill.start > 0 else fill.price + earned)
    return Start(fill.start, entry if entry > 0 else None)


def _closed(fill: NodeFill, start: Decimal) -> Decimal:
    """Return how much of the position the fill closes."""
    is_against = (start > 0) is (fill.side is Side.SELL) and start != 0
    return min(fill.size, abs(start)) if is_against else Decimal(0)


def _are_one(first: NodeFill, second: NodeFill) -> bool:
    """Return whether two fills are the sides of one trade."""
    return (
        first.side is not second.side and first.size == second.size and first.price == second.price
    )


def _half(fill: NodeFill, tid: int) -> Trade:
    is_bought = fill.side is Side.BUY
    other = Side.SELL if is_bought else Side.BUY
    return Trade(
        coin=fill.coin,
        side=fill.side if fill.is_taker else other,
        price=fill.price,
        size=fill.size,
        time_ms=fill.time_ms,
        tid=tid,
        hash=fill.hash,
        buyer=fill.address if is_bought else "",
        seller="" if is_bought else fill.address,
    )


def _whole(half: Trade, fill: NodeFill) -> Trade:
    buyer, seller = half.buyer or fill.address, half.seller or fill.address
    return msgspec.structs.replace(half, buyer=buyer, seller=seller)


def _own_tid(fill: NodeFill) -> int:
    """Return a number for a fill whose own is none (0), or is taken: the same each time."""
    text = f"{fill.address} {fill.coin} {fill.time_ms} {fill.tid} {fill.side} {fill.start}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 1
