"""One socket of the feed: its trades go to the writer, its mids to the coin plan."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from discovery.blocks import newest_block_ms
from exchange.stream import Stream, StreamState
from exchange.subscriptions import Subscription
from exchange.wire import AllMids, Bbo, Frame, Trade, TradesFrame
from traders.coverage import SocketReport

logger = logging.getLogger(__name__)
#: Its best prices change several times a second, also while nobody trades.
CLOCK = Subscription("bbo", coin="BTC")


class FrameIntake:
    """What one source of frames, a socket or a recording, has brought."""

    def __init__(
        self,
        on_trades: Callable[[Iterable[Trade]], None],
        on_mids: Callable[[AllMids], None],
    ) -> None:
        """Pass trades and mids on to these two."""
        self._on_trades = on_trades
        self._on_mids = on_mids
        self._newest: dict[str, int] = {}
        self.trades = 0

    def take(self, frame: Frame) -> None:
        """Take one frame of any kind."""
        match frame:
            case TradesFrame(coin=coin, trades=trades) if trades:
                self.trades += len(trades)
                self._newest[coin] = trades[-1].time_ms
                self._on_trades(trades)
            case Bbo(coin=coin, time_ms=time_ms):
                self._newest[coin] = time_ms
            case AllMids():
                self._on_mids(frame)

    def keep_only(self, coins: set[str]) -> None:
        """Forget the block times of coins that are no longer carried."""
        self._newest = {coin: at for coin, at in self._newest.items() if coin in coins}

    @property
    def newest_block_ms(self) -> int | None:
        """Exchange time of the newest block that can be believed."""
        return newest_block_ms(self._newest)


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
                self.intake.take(received.frame)

    async def carry(self, coins: Iterable[str], dexes: Iterable[str]) -> None:
        """Subscribe to exactly these coins' trades, and to the mids that show new listings."""
        trades = {Subscription("trades", coin=coin) for coin in coins}
        mids = {Subscription("allMids", dex=dex or None) for dex in dexes}
        self.intake.keep_only({CLOCK.coin or ""} | {wish.coin or "" for wish in trades})
        await self.stream.want(trades | mids | {CLOCK})

    @property
    def coins(self) -> list[str]:
        """The coins whose trades the server has acknowledged to send."""
        live = self.stream.state.live
        return sorted(wish.coin for wish in live if wish.type == "trades" and wish.coin)

    def report(self) -> SocketReport:
        """Say how this socket covers the feed now."""
        state, counts = self.stream.state, self.stream.counts
        return SocketReport(
            name=self.name,
            connected=state.connected,
            since_at=state.since or self._started_at,
            coins=self.coins,
            newest_block_ms=self.intake.newest_block_ms,
            trades=self.intake.trades,
            bad_frames=counts.bad_frames,
            reconnects=counts.reconnects,
            last_error=state.last_error[:200],
        )


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
