"""One socket of the feed: its trades go to the writer, its mids to the coin plan."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from discovery.blocks import BlockTimes
from discovery.coins import CLOCK_COINS
from exchange.stream import Stream, StreamState
from exchange.subscriptions import Subscription
from exchange.wire import AllMids, Bbo, Frame, TradesFrame
from traders.cursors import Arrival
from traders.socket_report import SocketReport

logger = logging.getLogger(__name__)
CLOCKS = frozenset(Subscription("bbo", coin=coin) for coin in CLOCK_COINS)
#: A quote comes before the trades of its block, and some before those of the block before: by 63 ms
#: at most in 90 s that were recorded.
QUOTES_AHEAD_MS = 200
#: Frames from the future that are kept until the present has come near them.
MOST_AHEAD = 1000


class FrameIntake:
    """What one source of frames, a socket or a recording, has brought."""

    def __init__(
        self,
        on_trades: Callable[[Arrival], None],
        on_mids: Callable[[AllMids], None],
    ) -> None:
        """Pass trades and mids on to these two."""
        self._on_trades = on_trades
        self._on_mids = on_mids
        # Of every coin's trades, and of the clocks.
        self._blocks = BlockTimes()
        # What was passed on of every coin, and what waits because it is ahead.
        self._brought: dict[str, int] = {}
        self._ahead: list[tuple[TradesFrame, bool]] = []
        # The acknowledged coins, those whose replay has come since, and the end of those lost.
        self._live: set[str] = set()
        self._replayed: set[str] = set()
        self._lost_at: dict[str, int] = {}
        self.trades = 0

    def take(self, frame: Frame, *, is_replay: bool = False) -> None:
        """Take one frame of any kind."""
        match frame:
            case TradesFrame(trades=trades) if trades:
                self.trades += len(trades)
                self._take_trades(frame, is_replay=is_replay)
            case Bbo(coin=coin, time_ms=time_ms):
                self._blocks.add(f"bbo {coin}", time_ms - QUOTES_AHEAD_MS)
            case AllMids():
                self._on_mids(frame)
        if self._ahead:
            held, self._ahead = self._ahead, []
            for late, was_replay in held:
                self._take_trades(late, is_replay=was_replay)

    def keep_only(self, coins: set[str]) -> None:
        """Forget the block times of coins that are no longer carried."""
        self._blocks.keep_only(coins)

    def follow(self, live: set[str], *, connected: bool) -> None:
        """Learn which coins' subscriptions live now; who is not among them is carried no more."""
        until_ms = self.carried_until_ms
        for coin in self._live & self._replayed - live:
            if until_ms is not None:
                self._lost_at[coin] = until_ms
        # A replay may come before its acknowledgement.
        self._replayed -= self._live - live if connected else self._replayed.copy()
        self._live = live

    @property
    def carried(self) -> list[str]:
        """The coins that are carried without a hole: acknowledged, and their replay has come."""
        return sorted(self._live & self._replayed)

    @property
    def lost(self) -> dict[str, int]:
        """The coins that are carried no more, and up to when they were carried."""
        return dict(self._lost_at)

    @property
    def newest_block_ms(self) -> int | None:
        """Exchange time of the newest block that can be believed."""
        return self._blocks.newest_ms

    @property
    def carried_until_ms(self) -> int | None:
        """Up to when all has come: of the newest block other coins' frames may be on their way."""
        newest_ms = self._blocks.newest_ms
        return None if newest_ms is None else newest_ms - 1

    def _take_trades(self, frame: TradesFrame, *, is_replay: bool) -> None:
        """Pass a frame on; one that is ahead of everything waits until the others come near it."""
        coin, time_ms = frame.coin, frame.trades[-1].time_ms
        self._blocks.add(coin, time_ms)
        if self._blocks.is_ahead(coin, time_ms) and len(self._ahead) < MOST_AHEAD:
            self._ahead.append((frame, is_replay))
            return
        newest_ms = self._brought.get(coin, 0)
        self._brought[coin] = max(newest_ms, time_ms)
        lost_ms = self._lost_at.pop(coin, None) if is_replay else None
        if is_replay:
            self._replayed.add(coin)
        self._on_trades(
            Arrival(
                coin,
                frame.trades,
                is_replay=is_replay,
                is_late=not is_replay and frame.trades[0].time_ms < newest_ms,
                clock_ms=self.newest_block_ms,
                covered_until_ms=lost_ms,
                is_whole=not frame.bad,
            )
        )


class Socket:
    """One socket that carries every coin."""

    def __init__(
        self, name: str, stream: Stream, intake: FrameIntake, started_at: datetime
    ) -> None:
        """Name it as its row is named."""
        self.name = name
        self.stream = stream
        self.intake = intake
        self._started_at = started_at

    async def run(self) -> None:
        """Read until cancelled, over all reconnects."""
        async with self.stream as stream:
            async for received in stream:
                self.intake.take(received.frame, is_replay=received.replay)

    async def carry(self, coins: Iterable[str], dexes: Iterable[str]) -> None:
        """Subscribe to exactly these coins' trades, and to the mids that show new listings."""
        trades = {Subscription("trades", coin=coin) for coin in coins}
        mids = {Subscription("allMids", dex=dex or None) for dex in dexes}
        clocks = {f"bbo {clock.coin}" for clock in CLOCKS}
        self.intake.keep_only(clocks | {wish.coin or "" for wish in trades})
        await self.stream.want(trades | mids | CLOCKS)

    def report(self) -> SocketReport:
        """Say how this socket covers the feed now."""
        state, counts = self.stream.state, self.stream.counts
        return SocketReport(
            name=self.name,
            connected=state.connected,
            since_at=state.since or self._started_at,
            coins=self.intake.carried,
            newest_block_ms=self.intake.carried_until_ms,
            trades=self.intake.trades,
            bad_frames=counts.bad_frames,
            reconnects=counts.reconnects,
            last_error=state.last_error[:200],
            lost=self.intake.lost,
        )


def live_coins(state: StreamState) -> set[str]:
    """Return the coins whose trades the server has acknowledged to send."""
    return {wish.coin for wish in state.live if wish.type == "trades" and wish.coin}


class ConnectionLog:
    """Writes one line for each change of a socket's connection, and for each refused coin once."""

    def __init__(self, name: str, on_change: Callable[[], None]) -> None:
        """Nothing is known of the socket yet; `on_change` is told of every new state."""
        self._name = name
        self._on_change = on_change
        self._connected = False
        self._refused: set[Subscription] = set()

    def __call__(self, state: StreamState) -> None:
        """Take the stream's new state."""
        self._on_change()
        if state.connected != self._connected:
            self._connected = state.connected
            logger.info(
                "socket=%s connected=%d error=%r", self._name, state.connected, state.last_error
            )
        for wish in state.refused.keys() - self._refused:
            self._refused.add(wish)
            logger.warning(
                "socket=%s refused type=%s coin=%s reason=%r",
                *(self._name, wish.type, wish.coin, state.refused[wish]),
            )
