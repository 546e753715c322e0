"""Which trades of a batch count, coin by coin (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from exchange.wire import Trade
from traders.cursors import Arrival, Gap, Start, Window


@dataclass(slots=True)
class CoinBatch:
    """One coin's share of the batch: its cursor, what counts, and what is missing."""

    window: Window
    gap_until_ms: int | None
    last_price: Decimal | None = None
    trades: int = 0
    late: int = 0
    gaps: list[Gap] = field(default_factory=list)
    # What a node tells of the position before a block, by (address, time of the block).
    starts: dict[tuple[str, int], Start | None] = field(default_factory=dict)

    def note(self, gap: Gap | None) -> None:
        """Take in a gap, if there is one."""
        if gap is not None:
            self.gaps.append(gap)
            self.gap_until_ms = max(self.gap_until_ms or 0, gap.to_ms)

    def take(self, arrival: Arrival) -> list[Trade]:
        """Return the frame's trades that count."""
        newest_ms = self.window.newest_ms or 0
        fresh, gap = self.window.take(arrival)
        self.note(gap)
        self.trades += len(fresh)
        # Nothing can be told backwards: a later fill may stand in the ledger already.
        if arrival.starts and arrival.trades[0].time_ms > newest_ms:
            self._take_starts(arrival)
        if arrival.trades[-1].time_ms >= newest_ms:
            self.last_price = arrival.trades[-1].price
        self.late += sum(trade.time_ms < newest_ms for trade in fresh)
        return fresh

    def _take_starts(self, arrival: Arrival) -> None:
        for trade, (buyer, seller) in zip(arrival.trades, arrival.starts, strict=True):
            if trade.buyer != trade.seller:
                self.starts.setdefault((trade.buyer, trade.time_ms), buyer)
                self.starts.setdefault((trade.seller, trade.time_ms), seller)
