"""Keeps new connections below the exchange's limit: 30 a minute per IP, over all processes."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections.abc import Callable
from typing import Self

from redis.asyncio import Redis

from exchange.budget import Budget, Rules, Status
from exchange.errors import BudgetClosed
from exchange.shared_budget import SharedBudget, boot_seconds

log = logging.getLogger(__name__)


class ConnectionPermits:
    """At most 30 new connections a minute per IP, over all processes (`Stream(permit=...)`).

    Unlike the weight this never closes: a feed that waits would cost more than a few connections
    too many. Without Redis each process keeps to a small share of its own.
    """

    def __init__(
        self,
        redis: str | Redis,
        *,
        per_minute: int = 30,
        alone_per_minute: int = 8,
        clock: Callable[[], float] = boot_seconds,
    ) -> None:
        # Never settled: an attempt to connect gives up after 10 s.
        self._shared = SharedBudget(
            redis,
            name="hyperliquid:connections",
            rules=Rules(limit=per_minute, hold_ms=10_000, closed_ms=0),
            clock=clock,
            host="",
        )
        self._alone = Budget(Rules(limit=alone_per_minute, hold_ms=10_000, closed_ms=0))
        self._clock = clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *ended: object) -> None:
        await self._shared.__aexit__(*ended)

    async def __call__(self) -> None:
        """Wait until a new connection is allowed."""
        while True:
            if await self._allowed():
                return
            await asyncio.sleep(random.uniform(0.5, 1))  # noqa: S311 (jitter)

    async def _allowed(self) -> bool:
        try:
            return await self._shared.try_reserve(1) is not None
        except BudgetClosed as error:
            log.info("connecting without the shared count: %s", error)
        now = int(self._clock() * 1000)
        answer = self._alone.reserve(now, "alone", entry_id=secrets.token_hex(8), weight=1)
        return answer.status is Status.GRANTED
