"""Waits until the feed has come past a snapshot, so that the two can be held against each other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from asgiref.sync import sync_to_async

from traders import coverage
from traders.doubts import AFTER_MS

#: After that there is no verdict.
PATIENCE_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.25


class FeedAhead:
    """How far the feed is committed, looked up for many snapshots at once."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Know nothing yet; `clock` is monotonic, in seconds."""
        self._clock = clock
        self._sleep = sleep
        self._covered: dict[str, int | None] = {}
        self._looked_at = float("-inf")
        self._lock = asyncio.Lock()

    async def past(self, time_ms: int) -> frozenset[str] | None:
        """Return the coins that the feed carries once it is two seconds past an exchange time.

        Empty without a feed, None if the feed does not come so far within 30 s.
        """
        give_up_at = self._clock() + PATIENCE_SECONDS
        while True:
            covered = await self._look()
            behind = [at for at in covered.values() if at is None or at < time_ms + AFTER_MS]
            if not behind:
                return frozenset(covered)
            if self._clock() >= give_up_at:
                return None
            await self._sleep(LOOK_EVERY_SECONDS)

    async def _look(self) -> dict[str, int | None]:
        async with self._lock:
            if self._clock() >= self._looked_at + LOOK_EVERY_SECONDS / 2:
                self._covered = await sync_to_async(coverage.covered_coins)()
                self._looked_at = self._clock()
            return self._covered
