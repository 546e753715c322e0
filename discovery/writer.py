"""The one writer of the stream process: whatever came during a transaction is the next batch."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable

from django.db import Error

from discovery.batching import TradeQueue, sightings
from discovery.database import DatabaseThread
from exchange.wire import Trade
from hlcopy.clock import utc_now
from traders.recording import writing
from traders.sightings import record

logger = logging.getLogger(__name__)
#: A batch stays far below the time that a transaction may take.
BATCH_TRADES = 5000
#: About 200 bytes each; beyond that PostgreSQL is asked again.
MAX_KNOWN = 2_000_000
RETRY_SECONDS = (0.1, 1.0)


class Writer:
    """Commits the queue's trades, for ever, however often PostgreSQL goes away."""

    def __init__(self, queue: TradeQueue) -> None:
        """Write nothing yet; `run` does."""
        self.queue = queue
        self.committed = 0
        self.new_traders = 0
        #: Why the last attempt failed; empty when all is well.
        self.trouble = ""
        self._known: set[tuple[str, str]] = set()
        self._stirred = asyncio.Event()
        self._closing = False
        self._database = DatabaseThread("writer")

    def offer(self, trades: Iterable[Trade]) -> None:
        """Queue the trades; never blocks."""
        self.queue.offer(trades)
        self._stirred.set()

    def finish(self) -> None:
        """Let `run` return as soon as everything offered is committed."""
        self._closing = True
        self._stirred.set()

    async def run(self) -> None:
        """Commit what is offered until `finish` was called and nothing waits."""
        delay, longest = RETRY_SECONDS
        while self.queue or not self._closing:
            if not self.queue:
                await self._stirred.wait()
                self._stirred.clear()
                continue
            try:
                await self._commit()
                delay = RETRY_SECONDS[0]
            except Error as failure:
                self._failed(failure)
                await asyncio.sleep(random.uniform(delay / 2, delay))  # noqa: S311 (spreads load)
                delay = min(2 * delay, longest)

    def close(self) -> None:
        """Give the connection back; a transaction under way comes to its own end."""
        self._database.close()

    async def _commit(self) -> None:
        """Commit the oldest trades in one transaction; raises django.db.Error, they stay then."""
        batch = self.queue.first(BATCH_TRADES)
        unknown = sightings(batch) - self._known
        if unknown:
            self.new_traders += await self._database.run(_record, unknown)
            if len(self._known) > MAX_KNOWN:
                self._known.clear()
            self._known |= unknown
        self.queue.done(len(batch))
        self.committed += len(batch)
        if self.trouble:
            logger.info("database=back waiting=%d", len(self.queue))
            self.trouble = ""

    def _failed(self, failure: Error) -> None:
        """Show the trouble, and log it when it begins."""
        reason = f"{type(failure).__name__}: {' '.join(str(failure).split())}"[:200]
        if not self.trouble:
            logger.warning("database=away waiting=%d reason=%s", len(self.queue), reason)
        self.trouble = reason
        # A server that comes back may be an older one (a restore, a failover): ask it anew.
        self._known.clear()


def _record(unknown: set[tuple[str, str]]) -> int:
    """Add the new traders in one transaction; return how many there were."""
    with writing():
        return record(unknown, utc_now())
