"""The end of the event log, as far as this process has read it: one reader for all sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from web import push
from web.filters import Entry
from web.log import EventLog, HoleError, LogAwayError

logger = logging.getLogger(__name__)
RING = 10_000
PRELOAD = 2_000  # so that the clients of a restarted process find what they missed in the ring
PAGE = 1_000
LOOK_EVERY_SECONDS = 1.0
WINDOW_SECONDS = 0.005


class Tail:
    """The newest events, read at once when idle and in windows of 5 ms when busy."""

    def __init__(
        self,
        log: EventLog,
        *,
        ring: int = RING,
        on_events: Callable[[int, Sequence[Entry]], None],
        on_reset: Callable[[], None],
    ) -> None:
        """`on_events` gets what follows an event; `on_reset` says that the log began anew."""
        self.log = log
        self.ring = push.Ring(ring)
        self.wake = asyncio.Event()
        self.ready = asyncio.Event()
        self.era = 0  # grows with every reset
        self.reason = ""  # of the newest
        self._on_events = on_events
        self._on_reset = on_reset
        self._state = push.LogState(epoch="", head=0, oldest=1)  # nothing seen yet

    @property
    def state(self) -> push.LogState:
        """The log as far as it was read."""
        return push.LogState(self._state.epoch, self.ring.head, self._state.oldest)

    async def follow(self) -> None:
        """Read what was committed: after every wake-up, and every second in any case."""
        loop = asyncio.get_running_loop()
        looked_at = -LOOK_EVERY_SECONDS
        away = False
        while True:
            self.wake.clear()
            began_at = loop.time()
            try:
                if began_at - looked_at >= LOOK_EVERY_SECONDS:
                    self._compare(await self.log.state())
                    looked_at = began_at
                more = await self._advance()
                if away:
                    logger.info("hub state=reading head=%d", self.ring.head)
                away = False
            except LogAwayError as failure:
                if not away:
                    logger.warning("hub state=waiting reason=%s", failure)
                away, more = True, False
            if not more:
                # Not wait_for: in Python 3.11 it can swallow a cancellation (cpython#86296).
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_SECONDS):
                        await self.wake.wait()
                await asyncio.sleep(WINDOW_SECONDS - (loop.time() - began_at))

    def _compare(self, state: push.LogState) -> None:
        """Begin at the log's present end, or begin anew where it is not the log we followed."""
        previous, self._state = self._state, state
        if not previous.epoch:
            self.ring.restart(max(state.oldest - 1, state.head - PRELOAD))
        elif previous.epoch != state.epoch or state.head < self.ring.head:
            self._begin_anew("epoch")

    async def _advance(self) -> bool:
        """Read one page into the ring; return whether there is more."""
        before = self.ring.head
        try:
            entries = await self.log.entries_after(before, PAGE)
        except HoleError:
            self._state = await self.log.state()
            self._begin_anew("expired")
            return False
        if entries:
            self.ring.extend(entries)
            self._on_events(before, entries)
        elif self._state.head > before:  # removed before they were read
            self._begin_anew("expired")
        if len(entries) < PAGE:
            self.ready.set()
        return len(entries) == PAGE

    def _begin_anew(self, reason: str) -> None:
        state = self._state
        logger.warning(
            "hub state=reset reason=%s head=%d epoch=%s", reason, state.head, state.epoch
        )
        self.ring.restart(state.head)
        self.era += 1
        self.reason = reason
        self._on_reset()
