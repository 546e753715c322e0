"""Snapshots held against a feed: one trader, fills brought by `ingest`, looks at any time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from decimal import Decimal
from typing import Any

from exchange.replies import PositionState
from exchange.wire import Trade
from hlcopy.clock import from_ms, utc_now
from tests.traders.fills import START_MS, address, live, replay, trade
from tests.traders.states import SIZE_DECIMALS, state
from traders.cursors import Arrival, Gap
from traders.ingest import Ingested, ingest
from traders.knowledge import CoinFeed, Standing, floor_ms, standing_of
from traders.ledgers import KnownTraders
from traders.models import (
    FeedCursor,
    Ledger,
    Position,
    PositionEvent,
    RoundTrip,
    Trader,
    TraderDay,
    WaitingFill,
)
from traders.recording import Recorded, record_snapshots

FOLLOWED = ("BTC", "ETH", "xyz:TSLA")
#: Who takes the other side, and is never looked at.
OTHER = 99


class Feed:
    """Carries the coins since 1 ms after the start; times are milliseconds after that."""

    def __init__(self, *coins: str, user: int = 1) -> None:
        self.known = KnownTraders()
        self._tid = 1000
        # What the exchange has traded of each coin.
        self.published: defaultdict[str, list[Trade]] = defaultdict(list)
        for n, coin in enumerate(coins or FOLLOWED):
            self.published[coin].append(trade(n, 1, coin=coin, buyer=OTHER, seller=OTHER))
        ingest([replay(trades) for trades in self.published.values()], self.known)
        self.known.learn({(address(user), ""), (address(user), "xyz")}, utc_now())
        self.user = user
        self.trader = Trader.objects.get(address=address(user))

    def arrival(
        self, at_ms: int, size: str | Decimal, *, coin: str = "BTC", price: str = "100", **more: Any
    ) -> Arrival:
        """Return the frame of one fill of the trader, its size signed."""
        self._tid += 1
        size = Decimal(size)
        buyer, seller = (self.user, OTHER) if size > 0 else (OTHER, self.user)
        one = trade(
            *(self._tid, at_ms),
            coin=coin,
            buyer=buyer,
            seller=seller,
            size=abs(size),
            price=price,
        )
        self.published[coin].append(one)
        return live([one], **more)

    def fill(self, at_ms: int, size: str | Decimal, **more: Any) -> Ingested:
        """Bring one fill."""
        return ingest([self.arrival(at_ms, size, **more)], self.known)

    def gap(self, coin: str, from_ms: int, to_ms: int) -> None:
        """Let trades be lost."""
        lost = Gap(coin, START_MS + from_ms, START_MS + to_ms, "overflow")
        ingest([], self.known, lost=[lost])

    def look(
        self,
        at_ms: int,
        *held: PositionState,
        dex: str = "",
        followed: Collection[str] | None = FOLLOWED,
        value: str = "5000",
    ) -> Recorded:
        """Record a snapshot."""
        return record_snapshots(
            self.trader.pk,
            self.trader.address,
            {dex: state(START_MS + at_ms, *held, value=value)},
            size_decimals=SIZE_DECIMALS,
            fetched_at=from_ms(START_MS + at_ms),
            followed=followed,
        )

    @property
    def ledger(self) -> Ledger:
        return Ledger.objects.get(pk=self.trader.pk)

    def size(self, coin: str = "BTC") -> Decimal:
        row = self.row(coin)
        return row.size if row else Decimal(0)

    def row(self, coin: str = "BTC") -> Position | None:
        return Position.objects.filter(trader=self.trader, coin=coin).first()

    def standing(self, coin: str = "BTC") -> Standing:
        """Return what would be shown now, the coin being carried."""
        ledger, cursor = self.ledger, FeedCursor.objects.get(pk=coin)
        floor = floor_ms(ledger.floors, ledger.bases, ledger.doubts, coin)
        feed = CoinFeed(cursor.gap_until_ms, True, cursor.newest_ms)
        return standing_of(floor, feed, is_doubted=coin in ledger.doubts)

    def is_fresh(self, coin: str = "BTC") -> bool:
        standing = self.standing(coin)
        return standing.known and not standing.stale

    def floor(self, dex: str = "") -> int | None:
        """Return the dex's floor, after the start."""
        floor = self.ledger.floors.get(dex)
        return None if floor is None else floor - START_MS

    def events(self) -> list[tuple[str, str, Decimal, Decimal]]:
        rows = PositionEvent.objects.filter(trader_id=self.trader.pk).order_by("id")
        return [(row.source, row.kind, row.size_before, row.size_after) for row in rows]

    def waiting(self) -> int:
        return WaitingFill.objects.filter(trader_id=self.trader.pk).count()

    def day(self) -> TraderDay:
        return TraderDay.objects.get(trader=self.trader)

    def trips(self) -> list[RoundTrip]:
        return list(RoundTrip.objects.filter(trader=self.trader).order_by("id"))
