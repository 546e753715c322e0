"""One per web process: follows the event log and serves every WebSocket from it.

A socket is a cursor into the log. All cursors read the same ring of encoded frames; one that fell
out of the ring reads PostgreSQL by its cursor until it is back. So nothing is queued for a socket,
nothing is dropped, and joining, resuming and lagging are one and the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from hlcopy.clock import utc_now
from web import push
from web.log import EventLog, HoleError, LogAwayError
from web.reporting import report
from web.wakeups import wakeups

logger = logging.getLogger(__name__)
RING = 10_000
PRELOAD = 2_000  # so that the clients of a restarted process find what they missed in the ring
PAGE = 1_000
LOOK_EVERY_SECONDS = 1.0
WINDOW_SECONDS = 0.005
HEARTBEAT_SECONDS = 15
STALL_SECONDS = 10.0
JOIN_WITHIN_SECONDS = 5
STALLED = 4008

Report = Callable[[Callable[[], dict[str, int]]], Coroutine[Any, Any, None]]


class Listener:
    """One socket: what it has been sent, and since when it takes nothing more."""

    def __init__(
        self, send: Callable[[str], Awaitable[None]], stalled: Callable[[int], Awaitable[None]]
    ) -> None:
        """`send` writes one frame; `stalled` is called once, with the close code."""
        self._send = send
        self.stalled = stalled
        self.cursor = 0
        self.era = 0
        self.beat = 0
        self.writing_since: float | None = None
        self.task: asyncio.Task[None] | None = None

    async def write(self, frame: str) -> None:
        """Send one frame, observed by the hub's watch for stalled sockets."""
        self.writing_since = asyncio.get_running_loop().time()
        await self._send(frame)
        self.writing_since = None


class Hub:
    """Reads new events as they are committed and serves all listeners."""

    def __init__(
        self,
        log: EventLog,
        catch_up: EventLog,
        *,
        ring: int = RING,
        stall_seconds: float = STALL_SECONDS,
        report: Report | None = None,
    ) -> None:
        """`log` follows the head; `catch_up` serves listeners that fell out of the ring.

        `report` is run beside them with what returns the hub's numbers.
        """
        self._report = report
        self._log = log
        self._catch_up = catch_up
        self._stall_seconds = stall_seconds
        self._ring = push.Ring(ring)
        self._state = push.LogState(epoch="", head=0, oldest=1)  # nothing seen yet
        self._listeners: set[Listener] = set()
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._ready = asyncio.Event()
        self._era = 0  # grows with every reset
        self._reason = ""
        self._beat = 0
        self._closed_slow = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def sockets(self) -> int:
        """How many sockets this process serves."""
        return len(self._listeners)

    def numbers(self) -> dict[str, int]:
        """Return how many sockets there are, are served from the log, and were closed as slow."""
        lagging = sum(self._ring.after(x.cursor, 0) is None for x in self._listeners)
        return {
            "active_connections": self.sockets,
            "lagging": lagging,
            "closed_slow": self._closed_slow,
        }

    def start(self) -> None:
        """Begin to follow the log, once."""
        if not self._tasks:
            works = [self._follow(), wakeups(self._wake), self._watch()]
            if self._report is not None:
                works.append(self._report(self.numbers))
            for work in works:
                self._spawn(work)

    async def stop(self) -> None:
        """End every task and close the connections."""
        tasks = [*self._tasks, *(x.task for x in self._listeners if x.task is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._log.close()
        await self._catch_up.close()

    async def join(self, listener: Listener, query: str) -> None:
        """Write the connection frame and serve the listener from where its query says.

        Raises LogAwayError while this process has never seen the log.
        """
        self.start()
        try:
            await asyncio.wait_for(self._ready.wait(), JOIN_WITHIN_SECONDS)
        except TimeoutError:
            raise LogAwayError("the event log cannot be read") from None
        state = self._present()
        start = push.start(query, state)
        if start.reset == "ahead":  # another process may have read further than this one
            start = push.start(query, await self._log.state())
        listener.cursor, listener.era, listener.beat = start.after, self._era, self._beat
        now = utc_now()
        await listener.write(push.connection(state, now))
        if start.reset is not None:
            await listener.write(push.reset(start.reset, state, now))
        self._listeners.add(listener)
        listener.task = asyncio.create_task(self._serve(listener))

    def leave(self, listener: Listener) -> None:
        """Stop serving the listener."""
        self._listeners.discard(listener)
        if listener.task is not None:
            listener.task.cancel()

    async def _serve(self, listener: Listener) -> None:
        """Write to one socket whatever its cursor has not passed, for as long as it lives."""
        try:
            while True:
                changed = self._changed
                if not await self._write_what_is_new(listener):
                    await changed.wait()
        except OSError:
            pass  # the client went away
        finally:
            self._listeners.discard(listener)

    async def _write_what_is_new(self, listener: Listener) -> bool:
        """Write a reset, the next page of events and a heartbeat, if due; False without events."""
        if listener.era != self._era:
            await self._reset(listener, self._reason)
        frames = await self._frames(listener)
        for frame in frames:
            await listener.write(frame)
            listener.cursor += 1
        if listener.beat != self._beat:
            listener.beat = self._beat
            head = max(self._ring.head, listener.cursor)
            await listener.write(push.heartbeat(head, listener.cursor, utc_now()))
        return bool(frames)

    async def _frames(self, listener: Listener) -> list[str]:
        frames = self._ring.after(listener.cursor, PAGE)
        if frames is not None:
            return frames
        try:
            return await self._catch_up.frames_after(listener.cursor, PAGE)
        except HoleError:
            await self._reset(listener, "expired")
        except LogAwayError:
            pass  # the next change or heartbeat tries again
        return []

    async def _reset(self, listener: Listener, reason: str) -> None:
        state = self._present()
        listener.cursor, listener.era = state.head, self._era
        await listener.write(push.reset(reason, state, utc_now()))

    def _present(self) -> push.LogState:
        """Return the log as far as this process has read it."""
        return push.LogState(self._state.epoch, self._ring.head, self._state.oldest)

    async def _follow(self) -> None:
        """Read what was committed: after every wake-up, and every second in any case."""
        loop = asyncio.get_running_loop()
        looked_at = -LOOK_EVERY_SECONDS
        away = False
        while True:
            self._wake.clear()
            began_at = loop.time()
            try:
                if began_at - looked_at >= LOOK_EVERY_SECONDS:
                    self._compare(await self._log.state())
                    looked_at = began_at
                more = await self._advance()
                if away:
                    logger.info("hub state=reading head=%d", self._ring.head)
                away = False
            except LogAwayError as failure:
                if not away:
                    logger.warning("hub state=waiting reason=%s", failure)
                away, more = True, False
            if not more:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), LOOK_EVERY_SECONDS)
                await asyncio.sleep(WINDOW_SECONDS - (loop.time() - began_at))

    def _compare(self, state: push.LogState) -> None:
        """Begin at the log's present end, or begin anew where it is not the log we followed."""
        previous, self._state = self._state, state
        if not previous.epoch:
            self._ring.restart(max(state.oldest - 1, state.head - PRELOAD))
        elif previous.epoch != state.epoch or state.head < self._ring.head:
            logger.warning("hub state=reset head=%d epoch=%s", state.head, state.epoch)
            self._begin_anew("epoch")

    async def _advance(self) -> bool:
        """Read one page into the ring; return whether there is more."""
        try:
            frames = await self._log.frames_after(self._ring.head, PAGE)
        except HoleError:
            self._state = await self._log.state()
            self._begin_anew("expired")
            return False
        if frames:
            self._ring.extend(frames)
            self._announce()
        if len(frames) < PAGE:
            self._ready.set()
        return len(frames) == PAGE

    def _begin_anew(self, reason: str) -> None:
        self._ring.restart(self._state.head)
        self._era += 1
        self._reason = reason
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _watch(self) -> None:
        """Close sockets that take nothing for 10 s, and send the heartbeat."""
        seconds = 0
        while True:
            await asyncio.sleep(1)
            seconds += 1
            now = asyncio.get_running_loop().time()
            for listener in list(self._listeners):
                since = listener.writing_since
                if since is not None and now - since > self._stall_seconds:
                    logger.info("hub closed=%d cursor=%d", STALLED, listener.cursor)
                    self._closed_slow += 1
                    self.leave(listener)
                    self._spawn(listener.stalled(STALLED))
            if seconds % HEARTBEAT_SECONDS == 0:
                self._beat += 1
                self._announce()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_hub: Hub | None = None


def hub() -> Hub:
    """Return this process's hub, made when first asked for inside the running loop."""
    global _hub  # noqa: PLW0603 (one for the process)
    if _hub is None:
        _hub = Hub(EventLog(), EventLog(), report=report)
    return _hub
