"""Asks the exchange for the accounts of one pass, and for the lists of coins that they name."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from asgiref.sync import sync_to_async
from django.db import DataError, IntegrityError

from exchange import weights
from exchange.errors import BudgetClosed, ExchangeError, RateLimited
from exchange.info import MAX_CONNECTIONS, InfoClient
from exchange.replies import AccountState
from traders import coins

logger = logging.getLogger(__name__)

STATE_WEIGHT = weights.most("clearinghouseState")
META_WEIGHT = weights.most("meta")
#: Enough for 500 replies that take 8 s each to come within half of a pass.
REQUESTS_IN_FLIGHT = MAX_CONNECTIONS


class Fetching:
    """All requests of one pass, which can be stopped together.

    `weight_used` is that of the requests that were answered or failed, `weight_of_lists` that of
    those for lists of coins alone; `size_decimals` has every known coin's szDecimals. Methods raise
    ExchangeError, django.db.Error, and CancelledError once the fetching is stopped.
    """

    def __init__(self, info: InfoClient) -> None:
        """Know no coin yet; `refresh` comes first."""
        self.weight_used = 0
        self.weight_of_lists = 0
        self.size_decimals: dict[str, int] = {}
        self.stopped = False
        self._info = info
        self._slots = asyncio.Semaphore(REQUESTS_IN_FLIGHT)
        self._tasks: set[asyncio.Task[object]] = set()
        self._listed: set[str] = set()

    def stop(self) -> None:
        """Cancel every task that is waiting for a reply, or for its turn."""
        self.stopped = True
        for task in self._tasks:
            task.cancel()

    async def refresh(self, dexes: Iterable[str]) -> None:
        """Bring the dexes' lists of coins up to date where they are older than ten minutes."""
        with self.stoppable():
            for dex in await sync_to_async(coins.due_dexes)(dexes):
                await self._list(dex)
            self.size_decimals = await sync_to_async(coins.size_decimals)()

    async def states(self, address: str, dexes: Iterable[str]) -> dict[str, AccountState]:
        """Return an account's state on each dex; a list that lacks one of its coins is renewed."""
        states: dict[str, AccountState] = {}
        with self.stoppable():
            async with self._slots:
                for dex in dexes:
                    with self._paid(STATE_WEIGHT):
                        states[dex] = await self._info.clearinghouse_state(address, dex)
                    held = {position.coin for position in states[dex].positions}
                    if not held <= self.size_decimals.keys() and dex not in self._listed:
                        await self._list(dex)
        return states

    async def pause_until(self, monotonic_seconds: float) -> None:
        """Wait for a time of the monotonic clock."""
        with self.stoppable():
            await asyncio.sleep(max(0.0, monotonic_seconds - time.monotonic()))

    async def _list(self, dex: str) -> None:
        """Renew a dex's list of coins, once in a pass; without it the known one goes on."""
        self._listed.add(dex)
        self.weight_of_lists += META_WEIGHT
        try:
            with self._paid(META_WEIGHT):
                listed = await self._info.meta(dex)
            await sync_to_async(coins.store)(dex, listed)
        except (RateLimited, BudgetClosed):
            raise
        except (ExchangeError, DataError, IntegrityError) as error:
            logger.warning("dex=%r its coins stay as they are: %s", dex, error)
        self.size_decimals = await sync_to_async(coins.size_decimals)()

    @contextmanager
    def _paid(self, weight: int) -> Iterator[None]:
        """Count a request's weight, unless the budget or the exchange's limit kept it back."""
        try:
            yield
        except (RateLimited, BudgetClosed, asyncio.CancelledError):
            raise
        except ExchangeError:
            self.weight_used += weight
            raise
        self.weight_used += weight

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Let `stop` cancel the present task within this block."""
        task = asyncio.current_task()
        if self.stopped or task is None:
            raise asyncio.CancelledError
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)
