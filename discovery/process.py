"""The stream process: every coin on every socket, every trader into PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable

from django.db import Error

from discovery.batching import FrameQueue
from discovery.coins import Choice, CoinPlan
from discovery.database import DatabaseThread
from discovery.recording import Recorder
from discovery.sockets import ConnectionLog, FrameIntake, Socket, live_coins
from discovery.status import StatusLine
from discovery.writer import Writer
from exchange.connection_permits import ConnectionPermits
from exchange.liveness import Patience
from exchange.stream import Stream, StreamState
from exchange.wire import AllMids
from hlcopy.clock import utc_now
from traders import coverage
from traders.models import Coin

logger = logging.getLogger(__name__)
#: Each socket's row is at most one second old.
REPORT_SECONDS = 0.8
SPACING_SECONDS = 0.1
COIN_LIST_SECONDS = 60
CHOOSE_SECONDS = 2
#: Without PostgreSQL the sockets subscribe all the same.
ASK_SECONDS = 3
HOUSEKEEPING_SECONDS = 600
STATUS_SECONDS = 10
#: Connections of this process begin at least so far apart: the coins stay covered by the others.
STAGGER_SECONDS = 1
#: After the signal: what is on its way in is still read, then everything is committed.
READ_ON_SECONDS = 0.2
COMMIT_WITHIN_SECONDS = 3.5


class Turns:
    """Lets one socket connect after the other, each with the permit of all processes."""

    def __init__(
        self, permit: Callable[[], Awaitable[None]] | None, stagger_seconds: float
    ) -> None:
        """`permit` is awaited before every new connection."""
        self._permit = permit
        self._stagger_seconds = stagger_seconds
        self._lock = asyncio.Lock()
        self._next = 0.0

    async def __call__(self) -> None:
        """Return when it is the caller's turn."""
        async with self._lock:
            await asyncio.sleep(max(0.0, self._next - time.monotonic()))
            if self._permit is not None:
                await self._permit()
            self._next = time.monotonic() + self._stagger_seconds


class Discovery:
    """One stream process; run it once."""

    def __init__(
        self,
        *,
        url: str,
        coins: tuple[str, ...],
        sockets: int,
        permits: ConnectionPermits | None = None,
        recorder: Recorder | None = None,
        status: StatusLine | None = None,
        patience: Patience | None = None,
        stagger_seconds: float = STAGGER_SECONDS,
    ) -> None:
        """Take the settings; connect nothing yet."""
        process = f"{socket.gethostname()[:50]}:{os.getpid()}-{secrets.token_hex(2)}"
        self.queue = FrameQueue()
        self.writer = Writer(self.queue, process=f"{process}/")
        self._plan = CoinPlan(coins, sockets=sockets, started_seconds=time.monotonic())
        self._choice = Choice((), {})
        self._news = asyncio.Event()
        # A socket's state.
        self._changed = asyncio.Event()
        # The list has been read, or cannot be.
        self._asked = asyncio.Event()
        self._recorder = recorder
        self._permits = permits
        self._status = status
        self._patience = patience
        self._database = DatabaseThread("coverage")
        self._turns = Turns(permits, stagger_seconds)
        self.sockets = [
            self._socket(url, f"{process}/{number}", number) for number in range(sockets)
        ]

    async def run(self, stop: asyncio.Event) -> int:
        """Work until `stop`; return how many received trades could not be committed."""
        async with asyncio.TaskGroup() as tasks:
            reading = [tasks.create_task(feed.run()) for feed in self.sockets]
            writing = tasks.create_task(self.writer.run())
            beside = [
                tasks.create_task(work())
                for work in (
                    *(self._choose, self._list_coins, self._report, self._tend),
                    self._forget_dead,
                )
            ]
            await stop.wait()
            logger.info("stopping waiting=%d", self.queue.trades_waiting)
            await asyncio.sleep(READ_ON_SECONDS)
            for task in (*reading, *beside):
                task.cancel()
            await asyncio.wait([*reading, *beside])
            # The rows say that the sockets are closed once everything they brought is committed.
            self._queue_reports()
            self.writer.finish()
            await asyncio.wait([writing], timeout=COMMIT_WITHIN_SECONDS)
            writing.cancel()
        self._give_back()
        return self.queue.trades_waiting

    def _socket(self, url: str, name: str, number: int) -> Socket:
        recorder, permits = self._recorder, self._permits
        log = ConnectionLog(name, self._changed.set)
        intake = FrameIntake(self.writer.offer, self._mids)

        def on_state(state: StreamState) -> None:
            log(state)
            intake.follow(live_coins(state), connected=state.connected)

        stream = Stream(
            url,
            wanted=(),
            on_state=on_state,
            permit=self._turns,
            on_attempt=None if permits is None else lambda works: permits.ended(works=works),
            patience=self._patience,
            tap=None if recorder is None else lambda raw: recorder.add(number, raw),
        )
        return Socket(name, stream, intake, utc_now())

    def _mids(self, frame: AllMids) -> None:
        if self._plan.shown(frame.dex, frame.mids, time.monotonic()):
            self._news.set()

    async def _choose(self) -> None:
        """Subscribe to what is listed, again at every piece of news."""
        skipped: dict[str, str] = {}
        await for_at_most(ASK_SECONDS, self._asked)
        while True:
            choice = self._plan.choose(time.monotonic())
            news = choice.skipped.items() - skipped.items()
            if choice.is_complete and news:
                reasons = ", ".join(f"{coin} ({why})" for coin, why in sorted(news))
                logger.warning("coins skipped: %s", reasons)
                skipped = choice.skipped
            if choice.coins != self._choice.coins:
                changed = sorted(set(choice.coins) ^ set(self._choice.coins))[:20]
                logger.info("coins=%d changed=%s", len(choice.coins), " ".join(changed))
            self._choice = choice
            for feed in self.sockets:
                await feed.carry(choice.coins, self._plan.dexes)
            self._news.clear()
            await for_at_most(CHOOSE_SECONDS, self._news)

    async def _list_coins(self) -> None:
        """Read PostgreSQL's list of coins now and then; without it `allMids` speaks alone."""
        while True:
            with contextlib.suppress(Error):
                self._plan.listed(await self._database.run(_listed_coins))
            self._asked.set()
            self._news.set()
            await asyncio.sleep(COIN_LIST_SECONDS)

    async def _report(self) -> None:
        """Keep the sockets' rows young, by way of the queue: after the trades that came before."""
        while True:
            begun = time.monotonic()
            self._queue_reports()
            # A change of state is written at once, a flood of them ten times a second.
            await asyncio.sleep(SPACING_SECONDS)
            await for_at_most(begun + REPORT_SECONDS - time.monotonic(), self._changed)
            self._changed.clear()

    def _queue_reports(self) -> None:
        self.queue.report([feed.report() for feed in self.sockets])
        self.writer.stir()

    async def _forget_dead(self) -> None:
        """Remove the rows of sockets that are long gone."""
        while True:
            with contextlib.suppress(Error):
                await self._database.run(coverage.forget_dead)
            await asyncio.sleep(HOUSEKEEPING_SECONDS)

    async def _tend(self) -> None:
        """Write the recording every second and the status line every ten."""
        seconds = 0
        while True:
            await asyncio.sleep(1)
            seconds += 1
            if self._recorder is not None:
                self._recorder.flush()
            if self._status is not None and seconds % STATUS_SECONDS == 0:
                self._status.show(self.sockets, self.writer, len(self._choice.coins))

    def _give_back(self) -> None:
        """Close what is open."""
        self._database.close()
        self.writer.close()
        if self._recorder is not None:
            self._recorder.close()
        logger.info(
            "stopped trades=%d new_traders=%d events=%d unsaved=%d",
            *(self.writer.counted, self.writer.new_traders, self.writer.events),
            self.queue.trades_waiting,
        )


async def for_at_most(seconds: float, event: asyncio.Event) -> None:
    """Wait for the event; not `wait_for`, which before Python 3.12 can swallow a cancellation."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()


def _listed_coins() -> list[tuple[str, bool]]:
    """Return (name, is_delisted) of every coin that PostgreSQL knows."""
    return list(Coin.objects.values_list("name", "is_delisted"))
