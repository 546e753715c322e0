"""One socket to the exchange that stays connected, subscribed and honest about its silence.

::

    async with Stream(url, wanted=[Subscription("trades", coin="BTC")]) as stream:
        async for received in stream:
            ...

The loop is our own and not the iterator of ``websockets.connect()``: that one forgets its back-off
after every successful connect, so a server that accepts and closes at once would be hammered, and
it has no place to await a permit (the exchange allows 30 new connections a minute per IP).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.uri import parse_uri

from exchange import wire
from exchange.endpoint import is_loopback
from exchange.errors import ExchangeError, TransportError, WireError
from exchange.liveness import Liveness, Patience, full_jitter
from exchange.numbers import printable
from exchange.subscriptions import Pace, Subscription, Subscriptions

log = logging.getLogger(__name__)

#: Larger messages close the connection; the largest real ones (allDexsAssetCtxs) are near 200 kB.
MAX_FRAME_BYTES = 4 * 1024 * 1024
OPEN_TIMEOUT_SECONDS = 10
PING = b'{"method":"ping"}'


class Received(msgspec.Struct, frozen=True):
    """One frame and when it came; ``replay`` marks the trades that follow a subscribe."""

    frame: wire.Frame
    received_at: datetime
    #: The same moment on the monotonic clock.
    received_seconds: float
    replay: bool


class StreamState(msgspec.Struct, frozen=True):
    """What an observer may know of a socket at one moment."""

    connected: bool
    #: Of this connection, or of the loss of the last one; ``None`` before the first.
    since: datetime | None
    #: Acknowledged subscriptions: what is covered.
    live: frozenset[Subscription]
    refused: dict[Subscription, str]
    last_error: str


class Counts(msgspec.Struct):
    """What happened since the start."""

    connects: int = 0
    frames: int = 0
    bad_frames: int = 0
    bad_trades: int = 0
    errors: int = 0
    unknown_channels: Counter[str] = msgspec.field(default_factory=Counter)

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self.connects - 1)


class Stream:
    """One socket; iterate it in one task. Frames wait in the socket while the reader is busy."""

    def __init__(
        self,
        url: str,
        *,
        wanted: Iterable[Subscription],
        on_state: Callable[[StreamState], None] | None = None,
        permit: Callable[[], Awaitable[None]] | None = None,
        on_attempt: Callable[[bool], None] | None = None,
        tap: Callable[[bytes], None] | None = None,
        now: Callable[[], float] = time.monotonic,
        utcnow: Callable[[], datetime] = lambda: datetime.now(UTC),
        delays: Callable[[], Iterator[float]] = full_jitter,
        patience: Patience | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.url = url
        self.counts = Counts()
        self.subscriptions = Subscriptions(wanted, pace=pace)
        self.state = StreamState(
            connected=False, since=None, live=frozenset(), refused={}, last_error=""
        )
        self._on_state = on_state
        # Awaited before every new connection; told whether that works: something is acknowledged.
        self._permit, self._on_attempt, self._works = permit, on_attempt, False
        # Is given every message as it came, the unreadable too: for recordings.
        self._tap = tap
        self._now, self._utcnow = now, utcnow
        self._delays, self._patience = delays, patience or Patience()
        # Set when there may be something new to send.
        self._stirred = asyncio.Event()
        self._frames: AsyncGenerator[Received] | None = None
        # Why we ended the connection ourselves.
        self._cause = ""
        # A wrong URL is a wrong setting: say so now, not in the log of a loop.
        parse_uri(url)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._frames is not None:
            await self._frames.aclose()
        self._show(connected=False)

    def __aiter__(self) -> AsyncIterator[Received]:
        """Every frame that can be read, over all connections, until the task is cancelled."""
        self._frames = self._read()
        return self._frames

    async def want(self, wanted: Iterable[Subscription]) -> None:
        """Replace the subscriptions, on the living connection too."""
        self.subscriptions.want(wanted)
        self._stirred.set()

    async def _read(self) -> AsyncGenerator[Received]:
        delays = self._delays()
        while True:
            watch, self._works = None, False
            try:
                if self._permit is not None:
                    await self._permit()
                async with self._connect() as connection:
                    watch = Liveness(self._patience, self._now())
                    self._opened()
                    async with self._caretaker(connection, watch):
                        while True:
                            received = await self._receive(connection, watch)
                            if received is not None:
                                yield received
            except (OSError, EOFError, TimeoutError, WebSocketException, ExchangeError) as error:
                # Close code 1000 counts as a loss like any other: nobody asked for it.
                self._lost(self._cause or f"{type(error).__name__}: {error}")
                self._attempted(works=False)
            if watch is not None and watch.was_healthy:
                delays = self._delays()
            await asyncio.sleep(next(delays))

    def _connect(self) -> connect:
        return connect(
            self.url,
            compression=None,  # halves the cost of receiving
            proxy=None if is_loopback(self.url) else True,
            open_timeout=OPEN_TIMEOUT_SECONDS,
            # The exchange wants application pings; the caretaker sends them.
            ping_interval=None,
            close_timeout=1,
            max_size=MAX_FRAME_BYTES,
        )

    async def _receive(self, connection: ClientConnection, watch: Liveness) -> Received | None:
        """The next frame, or ``None`` for one that cannot be read."""
        watch.waits(self._now())
        raw = await connection.recv(decode=False)
        if self._tap is not None:
            self._tap(raw)
        seconds = self._now()
        if watch.was_deaf(seconds):
            raise TransportError(f"answers again after {seconds - watch.last_frame_at:.0f} s")
        watch.frame(seconds)
        self.counts.frames += 1
        try:
            frame = wire.decode_frame(raw)
        except WireError as error:
            self._bad_frame(raw, error)
            return None
        return self._learn(frame, watch, seconds)

    def _learn(self, frame: wire.Frame, watch: Liveness, seconds: float) -> Received:
        """Take from a frame what concerns the socket itself."""
        replay = self.subscriptions.received(frame)
        match frame:
            case wire.TradesFrame(coin=coin, bad=bad):
                self.counts.bad_trades += bad
                watch.trades(coin, seconds)
            case wire.Ack():
                self._stirred.set()
                self._show(connected=True)
                self._attempted(works=True)
            case wire.ErrorFrame(text=text):
                self.counts.errors += 1
                self._stirred.set()
                self._show(connected=True, last_error=printable(text))
            case wire.Other(channel=channel):
                known = self.counts.unknown_channels
                # Names come from outside: do not let them fill the memory.
                known[channel if channel in known or len(known) < 100 else "others"] += 1
        return Received(frame, self._utcnow(), seconds, replay)

    @contextlib.asynccontextmanager
    async def _caretaker(
        self, connection: ClientConnection, watch: Liveness
    ) -> AsyncIterator[None]:
        """Sends subscriptions and pings beside the reader, and ends a dead connection."""
        task = asyncio.create_task(self._take_care(connection, watch))
        # Whatever ends it, a connection without its caretaker must not live on.
        task.add_done_callback(lambda _: connection.transport.abort())
        try:
            yield
        finally:
            task.cancel()
            # Not `await task`, which cannot tell its cancellation from ours.
            await asyncio.wait([task])

    async def _take_care(self, connection: ClientConnection, watch: Liveness) -> None:
        # A connection lost while sending is the reader's to notice.
        with contextlib.suppress(OSError, WebSocketException):
            while not watch.is_dead(now := self._now()):
                self._stirred.clear()
                await self._send_due(connection, watch, now)
                look_again = self._patience.ping_after / 15
                pause = min(self.subscriptions.wait(self._now()) or look_again, look_again)
                # Not wait_for(): before Python 3.12 it can swallow a cancellation.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._stirred.wait()
            # The connection is aborted: a half-open peer would never answer a closing handshake.
            self._cause = f"silent for {now - watch.last_frame_at:.0f} s"

    async def _send_due(self, connection: ClientConnection, watch: Liveness, now: float) -> None:
        if watch.wants_ping(now):
            await connection.send(PING, text=True)
        live = {s.coin or "" for s in self.subscriptions.live if s.type == "trades"}
        silent = watch.silent_coin(live, now)
        if silent is not None:
            self._note(f"{silent} silent: subscribing to it again")
            self.subscriptions.renew(silent)
        message = self.subscriptions.next_message(now)
        if message is not None:
            await connection.send(message, text=True)
            self._show(connected=True)

    def _attempted(self, *, works: bool) -> None:
        if self._on_attempt is not None and not self._works:
            self._on_attempt(works)
        self._works |= works

    def _opened(self) -> None:
        self._cause = ""
        self.counts.connects += 1
        self.subscriptions.disconnected()
        self._show(connected=True)

    def _lost(self, reason: str) -> None:
        self.subscriptions.disconnected()
        told = printable(reason)
        # An exchange that stays away is told of once, not with every attempt.
        is_news = self.state.connected or told != self.state.last_error
        log.log(logging.WARNING if is_news else logging.DEBUG, "%s lost: %s", self.url, told)
        self._show(connected=False, last_error=told)

    def _bad_frame(self, raw: bytes, error: WireError) -> None:
        self.counts.bad_frames += 1
        # A sample: the first few, then every hundredth.
        if self.counts.bad_frames <= 5 or self.counts.bad_frames % 100 == 0:
            sample = printable(raw[:200].decode("ascii", "replace"))
            log.warning("bad frame %d: %s: %s", self.counts.bad_frames, error, sample)

    def _note(self, reason: str) -> None:
        log.warning("%s: %s", self.url, reason)
        self._show(connected=True, last_error=reason)

    def _show(self, *, connected: bool, last_error: str | None = None) -> None:
        """Publish the state if it changed."""
        changed = self.state.since is None or connected != self.state.connected
        state = StreamState(
            connected=connected,
            since=self._utcnow() if changed else self.state.since,
            live=frozenset(self.subscriptions.live) if connected else frozenset(),
            refused=dict(self.subscriptions.refused),
            last_error=self.state.last_error if last_error is None else last_error,
        )
        if state != self.state:
            self.state = state
            if self._on_state is not None:
                self._on_state(state)
