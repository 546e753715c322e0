"""One budget for all processes of this IP, kept in Redis (docs/decisions/0006).

::

    async with SharedBudget("redis://...", per_minute=1100) as budget:
        permit = await budget.reserve(2)
        ...  # send within two seconds
        await budget.settle(permit, 2)

The arithmetic is ``exchange.budget``'s, as one Lua script on Redis's clock. Redis unreachable means
no requests. An instance belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from exchange.budget import Answer, Rules, Status, Usage
from exchange.errors import BudgetClosed, RateLimited

log = logging.getLogger(__name__)

#: A permit older than this is thrown away: its request would arrive later than was reserved for.
FRESH_SECONDS = 2
#: Room may come sooner than computed (an unanswered request is settled), so look again.
LOOK_AGAIN_SECONDS = 1.0

_SCRIPT = Path(__file__).with_name("budget.lua").read_text()


def boot_seconds() -> float:
    """Seconds since this host booted, sleep included where the system can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def host_id() -> str:
    """Names everything that shares ``boot_seconds``: one boot of one kernel, one time namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/time').readlink()}"
    except OSError:
        # Not Linux: a process compares only with itself.
        return secrets.token_hex(8)


class SharedPermit(msgspec.Struct, frozen=True):
    """Weight reserved for one attempt; ``taken_at_seconds`` is before we asked for it."""

    id: str
    weight: int
    taken_at_seconds: float
    clock: Callable[[], float]

    @property
    def is_fresh(self) -> bool:
        """False when it has waited too long to be used."""
        return self.clock() - self.taken_at_seconds <= FRESH_SECONDS


class SharedBudget:
    """A sliding-window log of weight that all processes with the same Redis and ``name`` share.

    ``max_wait_seconds`` bounds ``reserve``. ``log_clock_ms`` replaces Redis's clock (in tests).
    """

    def __init__(
        self,
        redis: str | Redis,
        *,
        per_minute: int = 1100,
        name: str = "hyperliquid",
        rules: Rules | None = None,
        max_wait_seconds: float = 120,
        clock: Callable[[], float] = boot_seconds,
        host: str | None = None,
        log_clock_ms: Callable[[], int] | None = None,
    ) -> None:
        self.rules = rules or Rules(limit=per_minute)
        self._owned = isinstance(redis, str)
        self._redis: Redis = (
            Redis.from_url(redis, socket_connect_timeout=2, socket_timeout=5)
            if isinstance(redis, str)
            else redis
        )
        self._script = self._redis.register_script(_SCRIPT)
        # One hash tag: a Redis cluster keeps the three keys together.
        self._keys = [f"{{budget:{name}}}:{key}" for key in ("state", "log", "peaks")]
        self._max_wait_seconds = max_wait_seconds
        self._clock = clock
        self._host = host_id() if host is None else host
        self._log_clock_ms = log_clock_ms
        # Only one task of this process asks at a time: first come, first served.
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._owned:
            await self._redis.aclose()

    async def open(self) -> None:
        """Start at once instead of closed for 65 s.

        The caller asserts that no process of this IP has spent weight in the last 65 s.
        """
        await self._call("open")

    async def reserve(self, weight: int) -> SharedPermit:
        """Wait until there is room for ``weight``.

        Raises ``RateLimited`` when there is none within ``max_wait_seconds``, ``BudgetClosed`` when
        Redis could not be asked.
        """
        if not 0 < weight <= self.rules.limit:
            raise ValueError(f"weight {weight} can never fit into {self.rules.limit}")
        reason: Exception = RateLimited("no room in the budget", retry_after_seconds=60)
        try:
            async with asyncio.timeout(self._max_wait_seconds), self._turn:
                while True:
                    try:
                        permit, answer = await self._try(weight)
                    except BudgetClosed as error:
                        reason, answer = error, Answer(Status.CLOSED, 1000)
                    else:
                        if answer.status is Status.GRANTED:
                            return permit
                        reason = RateLimited(
                            f"the budget is {answer.status}",
                            retry_after_seconds=answer.wait_ms / 1000,
                        )
                    await asyncio.sleep(_pause(answer))
        except TimeoutError:
            raise reason from None

    async def try_reserve(self, weight: int) -> SharedPermit | None:
        """Room for ``weight`` now, or ``None``; raises ``BudgetClosed``."""
        permit, answer = await self._try(weight)
        return permit if answer.status is Status.GRANTED else None

    async def settle(self, permit: SharedPermit, actual_weight: int) -> None:
        """The attempt is over and cost this much; 0 if nothing was sent.

        When Redis cannot be told the entry ends by itself, only later.
        """
        try:
            await self._call("settle", permit.id, permit.weight, actual_weight)
        except BudgetClosed as error:
            log.info("settling a permit: %s", error)

    async def pause(self, seconds: float | None) -> float:
        """HTTP 429: every process waits, ``seconds`` or 10, 20, 40, 60; returns how long."""
        try:
            [left_ms] = await self._call("pause", "" if seconds is None else seconds)
        except BudgetClosed:
            # Nobody can reserve now, which is a pause as well.
            return 10
        log.warning("the exchange said 429: every process waits %.0f s", int(left_ms) / 1000)
        return int(left_ms) / 1000

    async def usage(self) -> Usage:
        """What is counted now; raises ``BudgetClosed``."""
        used, closed_ms, paused_ms, peak, http_429_total = await self._call("usage")
        return Usage(int(used), int(closed_ms), int(paused_ms), int(peak), int(http_429_total))

    async def _try(self, weight: int) -> tuple[SharedPermit, Answer]:
        taken = self._clock()
        permit = SharedPermit(secrets.token_hex(8), weight, taken, self._clock)
        status, number = await self._call(
            "reserve", permit.id, weight, self._host, int(taken * 1000)
        )
        answer = Answer(Status(status.decode()), int(number))
        if answer.status is Status.SUSPECT:
            await self._examine(answer.wait_ms, taken)
            return permit, Answer(Status.SUSPECT, 100)
        return permit, answer

    async def _examine(self, ahead_ms: int, asked_at: float) -> None:
        """Close the budget if its clock is further ahead than our question took."""
        delay_ms = (self._clock() - asked_at) * 1000
        if ahead_ms > delay_ms:
            log.warning(
                "the clock of Redis stepped %.1f s ahead: no requests for 65 s", ahead_ms / 1000
            )
            await self._call("close", self._host, int(self._clock() * 1000))

    async def _call(self, operation: str, *arguments: str | float) -> list[Any]:
        rules = self.rules
        now = "" if self._log_clock_ms is None else self._log_clock_ms()
        try:
            result: list[Any] = await self._script(
                keys=self._keys,
                args=[operation, rules.limit, rules.hold_ms, rules.closed_ms, now, *arguments],
            )
        except (RedisError, OSError) as error:
            raise BudgetClosed(f"the budget in Redis: {type(error).__name__}: {error}") from error
        return result


def _pause(answer: Answer) -> float:
    """How long to sleep before asking again, with jitter so that processes do not ask together."""
    wait = min(answer.wait_ms / 1000, LOOK_AGAIN_SECONDS)
    return wait * random.uniform(1, 1.2)  # noqa: S311 (jitter)
