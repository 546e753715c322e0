"""One per web process: serves every WebSocket from the event log.

A socket is a cursor into the log. All cursors read the same ring of encoded events; one that fell
out of the ring reads PostgreSQL by its cursor until it is back. So nothing is queued for a socket,
nothing is dropped, and joining, resuming and lagging are one and the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from hlcopy.clock import utc_now
from web import push, tail
from web.audience import Audience
from web.filters import Entry, Filter, Resume
from web.listener import Errand, Listener
from web.log import EventLog, HoleError, LogAwayError
from web.reporting import report
from web.wakeups import wakeups
from web.wire import Frames

logger = logging.getLogger(__name__)
TURN = 100  # events written to one socket, at once, before the next has its turn
AGAIN_AFTER_SECONDS = 1.0
HEARTBEAT_SECONDS = 15
STALL_SECONDS = 10.0
JOIN_WITHIN_SECONDS = 5
STOP_AGAIN_SECONDS = 1.0
STALLED, DEFECT = 4008, 1011

Report = Callable[[Callable[[], dict[str, int]]], Coroutine[Any, Any, None]]


class Hub:
    """Serves all listeners of this process whatever is committed."""

    def __init__(
        self,
        log: EventLog,
        catch_up: EventLog,
        *,
        ring: int = tail.RING,
        stall_seconds: float = STALL_SECONDS,
        report: Report | None = None,
    ) -> None:
        """`log` follows the head; `catch_up` serves listeners that fell out of the ring.

        `report` is run beside them with what returns the hub's numbers.
        """
        self._report = report
        self._catch_up = catch_up
        self._stall_seconds = stall_seconds
        self._audience = Audience()
        self._tail = tail.Tail(
            log, ring=ring, on_events=self._audience.rouse, on_reset=self._on_reset
        )
        # The newest frames, one for each event or one for all: first and last event, and they.
        self._made: dict[bool, tuple[int, int, Frames]] = {}
        self._closed_slow = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def sockets(self) -> int:
        """How many sockets this process serves."""
        return len(self._audience)

    def numbers(self) -> dict[str, int]:
        """Return how many sockets there are, are served from the log, and were closed as slow."""
        reaches = self._tail.ring.reaches
        return {
            "active_connections": self.sockets,
            "lagging": sum(not (x.resting or reaches(x.cursor)) for x in self._audience),
            "closed_slow": self._closed_slow,
        }

    def start(self) -> None:
        """Begin to follow the log, once."""
        if not self._tasks:
            self._spawn(self._for_ever(self._tail.follow))
            self._spawn(self._for_ever(lambda: wakeups(self._tail.wake, self.tell)))
            self._spawn(self._for_ever(self._watch))
            if (report := self._report) is not None:
                self._spawn(self._for_ever(lambda: report(self.numbers)))

    async def stop(self) -> None:
        """End every task and close the connections."""
        tasks = {*self._tasks, *(x.task for x in self._audience if x.task is not None)}
        while tasks:
            for task in tasks:
                task.cancel()
            # Again if need be: redis-py can swallow a cancellation while it connects.
            _, tasks = await asyncio.wait(tasks, timeout=STOP_AGAIN_SECONDS)
        await self._tail.log.close()
        await self._catch_up.close()

    async def join(self, listener: Listener, query: str) -> None:
        """Write the connection frame and serve the listener from where its query says.

        Raises LogAwayError while this process has never seen the log.
        """
        self.start()
        try:
            await asyncio.wait_for(self._tail.ready.wait(), JOIN_WITHIN_SECONDS)
        except TimeoutError:
            raise LogAwayError("the event log cannot be read") from None
        state = self._tail.state
        start = push.start(query, state)
        if start.reset == "ahead":  # another process may have read further than this one
            start = push.start(query, await self._tail.log.state())
        listener.cursor, listener.era = start.after, self._tail.era
        now = utc_now()
        await listener.write(push.connection(state, now))
        if start.reset is not None:
            await listener.write(push.reset(start.reset, state, now))
        self._audience.add(listener)
        listener.task = asyncio.create_task(self._serve(listener))
        listener.task.add_done_callback(lambda task: self._end(listener, task))

    def leave(self, listener: Listener) -> None:
        """Stop serving the listener."""
        self._audience.discard(listener)
        if listener.task is not None:
            listener.task.cancel()

    def ask(self, listener: Listener, errand: Errand) -> None:
        """Let the listener be answered between two events."""
        listener.errands.append(errand)
        listener.rouse(self._tail.ring.head)

    def tell(self, frame: str) -> None:
        """Send a frame to everyone."""
        for listener in self._audience:
            self.ask(listener, frame)

    async def _serve(self, listener: Listener) -> None:
        """Write to one socket whatever its cursor has not passed, for as long as it lives."""
        try:
            while True:
                while listener.errands:
                    await self._run(listener, listener.errands.popleft())
                if listener.era != self._tail.era:
                    await self._reset(listener, self._tail.reason)
                # Between a turn that finds nothing and the rest nothing else may run.
                if not await self._turn(listener):
                    await listener.rest()
        except OSError:
            pass  # the client went away

    def _end(self, listener: Listener, task: asyncio.Task[None]) -> None:
        """Forget a socket that is served no longer; close it where that is our defect."""
        self._audience.discard(listener)
        if not task.cancelled() and (defect := task.exception()) is not None:
            logger.error("hub closed=%d", DEFECT, exc_info=defect)
            self._spawn(listener.close(DEFECT))

    async def _run(self, listener: Listener, errand: Errand) -> None:
        """Answer what came between the events."""
        now = utc_now()
        if errand is None:
            head = max(self._tail.ring.head, listener.cursor)
            await listener.write(push.heartbeat(head, listener.cursor, now))
        elif isinstance(errand, str):
            await listener.write(errand)
        elif isinstance(errand, Filter):
            self._audience.move(listener, errand)
            await listener.write(push.subscribed(errand, listener.cursor, now))
        else:
            await self._resume(listener, errand)

    async def _resume(self, listener: Listener, wish: Resume) -> None:
        start = push.resume(wish, self._tail.state)
        if start.reset == "ahead":
            try:
                start = push.resume(wish, await self._tail.log.state())
            except LogAwayError as failure:
                await listener.write(push.error("database_away", f"ask again: {failure}"))
                return
        if start.reset is not None:
            await self._reset(listener, start.reset)
        else:
            listener.cursor, listener.era = start.after, self._tail.era
            await listener.write(push.resumed(start.after, self._tail.state, utc_now()))

    async def _reset(self, listener: Listener, reason: str) -> None:
        state = self._tail.state
        listener.cursor, listener.era = state.head, self._tail.era
        await listener.write(push.reset(reason, state, utc_now()))

    async def _turn(self, listener: Listener) -> bool:
        """Write the next events that it wants; False where its cursor is at the head."""
        entries = self._tail.ring.after(listener.cursor, TURN)
        if entries is None:
            entries = await self._from_log(listener)
        elif not entries:
            return False
        wanted = listener.filter
        chosen = entries if wanted.everything else [x for x in entries if wanted.wants(x)]
        if chosen:
            await listener.write(self._frames(chosen, batch=wanted.batch))
        if entries:
            listener.cursor = entries[-1].id
        if len(entries) == TURN:
            # A socket with room never waits, and would keep all others waiting.
            await asyncio.sleep(0)
        return True

    async def _from_log(self, listener: Listener) -> list[Entry]:
        """Read what fell out of the ring."""
        try:
            entries = await self._catch_up.entries_after(listener.cursor, TURN)
        except LogAwayError:
            await asyncio.sleep(AGAIN_AFTER_SECONDS)
            return []
        except HoleError:
            entries = []
        if not entries:
            await self._reset(listener, "expired")
        return entries

    def _frames(self, entries: Sequence[Entry], *, batch: bool) -> Frames:
        """Return the frames of these events, made once for all sockets at the same place."""
        first, last = entries[0].id, entries[-1].id
        if last - first + 1 != len(entries):
            return _made(entries, batch=batch)  # a filter's own choice
        made = self._made.get(batch)
        if made is None or made[:2] != (first, last):
            made = self._made[batch] = first, last, _made(entries, batch=batch)
        return made[2]

    def _on_reset(self) -> None:
        self._made.clear()
        for listener in self._audience:
            listener.rouse(self._tail.ring.head)

    async def _watch(self) -> None:
        """Close sockets that take nothing for 10 s, and send the heartbeats, spread over 15 s."""
        seconds = 0
        while True:
            await asyncio.sleep(1)
            seconds += 1
            now = asyncio.get_running_loop().time()
            for listener in list(self._audience):
                if listener.is_gone() or listener.seconds_stuck(now) > self._stall_seconds:
                    self._give_up(listener)
                elif (listener.number - seconds) % HEARTBEAT_SECONDS == 0:
                    self.ask(listener, None)

    def _give_up(self, listener: Listener) -> None:
        """Close a socket whose client takes nothing, or is gone with bytes still unsent."""
        if not listener.is_gone():
            self._closed_slow += 1
            logger.info("hub closed=%d cursor=%d", STALLED, listener.cursor)
        self.leave(listener)
        self._spawn(listener.close(STALLED))

    async def _for_ever(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begin the work again after a defect: sockets would not know why they hear nothing."""
        while True:
            try:
                await work()
            except Exception:
                logger.exception("hub state=failed")
            await asyncio.sleep(AGAIN_AFTER_SECONDS)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _made(entries: Sequence[Entry], *, batch: bool) -> Frames:
    if batch:
        return Frames([push.trade_events(entries, utc_now())])
    return Frames([entry.frame for entry in entries])


_hub: Hub | None = None


def hub() -> Hub:
    """Return this process's hub, made when first asked for inside the running loop."""
    global _hub  # noqa: PLW0603 (one for the process)
    if _hub is None:
        _hub = Hub(EventLog(), EventLog(), report=report)
    return _hub
