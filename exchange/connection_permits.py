"""Keeps new connections below the exchange's limit: 30 a minute per IP, over all processes.

::

    async with ConnectionPermits("redis://...") as permits:
        await permits()
        ...  # connect at once
        permits.ended(works=True)

The arithmetic is ``exchange.attempts``'s, as one Lua script on Redis's clock.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Self

from redis.asyncio import Redis
from redis.exceptions import RedisError

from exchange.attempts import Attempts, Pacing
from exchange.shared_budget import boot_seconds

log = logging.getLogger(__name__)

#: Who waits for the pace looks so often whether another's attempt has worked meanwhile.
LOOK_AGAIN_SECONDS = 0.2

_SCRIPT = Path(__file__).with_name("attempts.lua").read_text()


class ConnectionPermits:
    """At most 30 new connections a minute per IP, over all processes (`Stream(permit=...)`).

    Unlike the weight this never closes: a feed that waits would cost more than a few connections
    too many. Without Redis each process keeps to a small share of its own, 8 a minute.
    """

    def __init__(
        self,
        redis: str | Redis,
        *,
        name: str = "hyperliquid",
        pacing: Pacing | None = None,
        alone: Pacing | None = None,
        clock: Callable[[], float] = boot_seconds,
    ) -> None:
        self.pacing = pacing or Pacing()
        self._owned = isinstance(redis, str)
        self._redis: Redis = (
            Redis.from_url(redis, socket_connect_timeout=2, socket_timeout=5)
            if isinstance(redis, str)
            else redis
        )
        self._script = self._redis.register_script(_SCRIPT)
        # One hash tag: a Redis cluster keeps both keys together.
        self._keys = [f"{{connections:{name}}}:{key}" for key in ("state", "log")]
        self._alone = Attempts(alone or Pacing(limit=8, every_ms=12_000))
        # Redis could not be asked: told of once.
        self._is_alone = False
        self._clock = clock
        self._telling: set[asyncio.Task[int | None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._telling:
            task.cancel()
        if self._telling:
            await asyncio.wait(self._telling)
        if self._owned:
            await self._redis.aclose()

    async def __call__(self) -> None:
        """Wait until a new connection is allowed."""
        while (wait_ms := await self._ask()) > 0:
            wait = min(wait_ms / 1000, LOOK_AGAIN_SECONDS)
            await asyncio.sleep(wait * random.uniform(1, 1.2))  # noqa: S311 (jitter)

    def ended(self, *, works: bool) -> None:
        """Tell every process, soon, what came of an attempt; waits for nothing."""
        self._alone.ended(self._now_ms(), works=works)
        task = asyncio.create_task(self._call("ended", int(works)))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _ask(self) -> int:
        wait_ms = await self._call("ask")
        if wait_ms is None:
            return self._alone.ask(self._now_ms())
        if wait_ms == 0:
            # Counts in our own share, should Redis go away now.
            self._alone.ask(self._now_ms())
        return wait_ms

    async def _call(self, operation: str, *arguments: int) -> int | None:
        """The script's answer; ``None`` while Redis cannot be asked."""
        pacing = self.pacing
        numbers = (pacing.limit, pacing.every_ms, pacing.open_ms, pacing.counts_ms)
        try:
            answer: int = await self._script(
                keys=self._keys, args=[operation, *numbers, "", *arguments]
            )
        except (RedisError, OSError) as error:
            if not self._is_alone:
                log.warning("connecting alone: Redis: %s: %s", type(error).__name__, error)
            self._is_alone = True
            return None
        self._is_alone = False
        return answer

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
