"""The live market as a server runs it: block after block, by order or in real time."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol

from simulator.config import SimulatorConfig
from simulator.feed import LiveFeed
from simulator.hub import FeedSource, Hub
from simulator.info import Info, InfoSource
from simulator.orders import Orders
from simulator.venue import Venue
from simulator.wire import Block

BURST = 400  # blocks at most before sockets get their turn
QUOTE_SECONDS, MIDS_SECONDS = 0.25, 1.0


class World(Protocol):
    """What a server shows: the live market or a recording."""

    orders: Orders | None

    @property
    def source(self) -> FeedSource:
        """What subscriptions show."""

    @property
    def info(self) -> InfoSource:
        """What answers `/info`."""

    def attach(self, hub: Hub) -> None:
        """Send frames to this hub from now on."""

    def state(self) -> dict[str, Any]:
        """What `/sim/state` shows."""

    def play(self, blocks: int, seconds: float) -> int:
        """Play blocks, or all that fall into some seconds; returns how many were played."""

    async def run(self) -> None:
        """Play in real time, for ever."""


class Live:
    """A market, what it sends and what it answers."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.venue = Venue(config)
        self.info = Info(self.venue)
        self.source = LiveFeed(self.venue, self.info)
        self.orders: Orders | None = Orders(self.venue, self._publish)
        self.running = False
        self._hub: Hub | None = None
        self._seed = config.seed

    def attach(self, hub: Hub) -> None:
        """Send frames to this hub from now on."""
        self._hub = hub

    def _publish(self, block: Block) -> None:
        if self._hub is not None:
            self.source.publish(self._hub, block)

    def state(self) -> dict[str, Any]:
        """What `/sim/state` shows."""
        venue = self.venue
        return {
            "mode": "live",
            "seed": self._seed,
            "running": self.running,
            "time_ms": venue.now_ms,
            "trades_total": venue.trades_total,
            "blocks_total": venue.blocks_total,
            "trades_by_coin": venue.trades_by_coin,
            "accounts": len(venue.ledger.accounts),
            "open_positions": sum(len(a.positions) for a in venue.ledger.accounts.values()),
            "liquidations": {
                "market": venue.liquidations.market_total,
                "backstop": venue.liquidations.backstop_total,
            },
        }

    def play(self, blocks: int, seconds: float) -> int:
        """Play blocks, or all that fall into some seconds of exchange time."""
        played = 0
        if seconds:
            end_ms = self.venue.now_ms + seconds * 1000
            while self.venue.due_ms <= end_ms:
                self._publish(self.venue.next_block())
                played += 1
            self.venue.move_clock(end_ms)
        for _ in range(blocks):
            self._publish(self.venue.next_block())
            played += 1
        if self._hub is not None:
            self.source.publish_mids(self._hub)
        return played

    def start(self, trades_per_second: float | None) -> None:
        """Follow the wall clock from now on."""
        if trades_per_second is not None:
            self.venue.set_pace(trades_per_second)
        self.venue.move_clock(time.time_ns() / 1e6)
        self.running = True

    async def run(self) -> None:
        """Follow the wall clock while running; blocks come when they are due."""
        quotes_at = mids_at = 0.0
        while True:
            if not self.running:
                await asyncio.sleep(0.01)
                continue
            wall_ms = time.time_ns() / 1e6
            played = 0
            while self.venue.due_ms <= wall_ms and played < BURST:
                self._publish(self.venue.next_block())
                played += 1
            self.venue.now_ms = max(self.venue.now_ms, int(wall_ms))
            now = time.monotonic()
            if now >= quotes_at:
                quotes_at = now + QUOTE_SECONDS
                self._quote()
            if now >= mids_at and self._hub is not None:
                mids_at = now + MIDS_SECONDS
                self.source.publish_mids(self._hub)
            await asyncio.sleep(0 if played == BURST else 0.005)

    def _quote(self) -> None:
        """Quotes come without trades too: `bbo` is a clock even in a quiet market."""
        if self._hub is None:
            return
        for kind, coin in list(self._hub.subscribers):
            if kind == "bbo":
                self.source.publish_quote(self._hub, coin)
