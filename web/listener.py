"""One WebSocket as the hub sees it: a cursor into the log, a filter, and messages to answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import count

from web.filters import EVERYTHING, Filter, Resume
from web.wire import Frames

#: Not events: a frame for everyone, what the client asked, or None where a heartbeat is due.
Errand = str | Resume | Filter | None
NUMBERS = count()
MOST_ERRANDS = 200  # of a socket that takes nothing, in the seconds until it is closed


class Listener:
    """One socket: what it was sent, what it wants, and whether it takes anything."""

    def __init__(
        self,
        send: Callable[[Frames], Awaitable[None]],
        close: Callable[[int], Awaitable[None]],
        is_gone: Callable[[], bool] = lambda: False,
    ) -> None:
        """`send` writes frames; `close` ends the connection with a code, by force if it must.

        `is_gone` says that the connection is closed already, but for what is still unsent.
        """
        self.number = next(NUMBERS)
        self._send = send
        self.close = close
        self.is_gone = is_gone
        self.cursor = 0  # while at rest: the head of whoever rouses it
        self.era = 0
        self.filter = EVERYTHING
        self.errands: deque[Errand] = deque(maxlen=MOST_ERRANDS)
        self.task: asyncio.Task[None] | None = None
        self.resting = False
        self._roused = asyncio.Event()
        self._writing = False
        self._written = 0
        self._seen_written = 0
        self._seen_at = 0.0

    async def write(self, frames: Frames | str) -> None:
        """Send frames, or a single one."""
        self._writing = True
        await self._send(Frames([frames]) if isinstance(frames, str) else frames)
        self._writing = False
        self._written += 1

    async def rest(self) -> None:
        """Wait until roused: everything that it wants up to the head was written."""
        self.resting = True
        await self._roused.wait()
        self._roused.clear()

    def rouse(self, cursor: int) -> None:
        """End the rest; up to `cursor` there was nothing that it wants."""
        if self.resting:
            self.resting = False
            self.cursor = max(self.cursor, cursor)
            self._roused.set()

    def seconds_stuck(self, now: float) -> float:
        """Return for how long the present write has been seen; `now` is monotonic."""
        if not self._writing or self._written != self._seen_written:
            self._seen_written, self._seen_at = self._written, now
        return now - self._seen_at
