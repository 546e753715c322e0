"""The one writer of the stream process: whatever came during a transaction is the next batch."""

from __future__ import annotations

import asyncio
import logging
import random
import time

from django.db import (
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
)

from discovery.batching import FrameQueue, Reports
from discovery.database import DatabaseThread
from traders.cursors import Arrival
from traders.ingest import AheadOfOthersError, ingest
from traders.ledgers import KnownTraders

logger = logging.getLogger(__name__)
#: A batch holds its locks for a second, below the 3 s that others wait for them, and the 10 s that
#: a transaction may take (`traders.writing`). After an error the next one is half as large.
BATCH_TRADES, LEAST_BATCH_TRADES = 6000, 500
RETRY_SECONDS = (0.1, 1.0)
#: PostgreSQL is back: who stayed subscribed commits first, so that no replay shows a hole.
LET_OTHERS_SECONDS = 1.5
#: A replay that shows a hole waits so long for who carries the coin and has not come past it.
FILLED_WITHIN_SECONDS = 3.0
ASK_AGAIN_SECONDS = 0.2


class Writer:
    """Commits the queue's frames, for ever, however often PostgreSQL goes away."""

    def __init__(
        self,
        queue: FrameQueue,
        *,
        let_others_seconds: float = LET_OTHERS_SECONDS,
        process: str = "",
    ) -> None:
        """Write nothing yet; `run` does. `process`: how the names of its sockets begin, if any."""
        self.queue = queue
        self.counted = 0
        self.new_traders = 0
        self.events = 0
        self.refused = 0
        #: Why the last attempt failed; empty when all is well.
        self.trouble = ""
        self._known = KnownTraders()
        # The newest blocks that were committed.
        self._reached: dict[str, int] = {}
        #: Of the next batch, a frame at least.
        self.most_trades = BATCH_TRADES
        self._stirred = asyncio.Event()
        self._closing = False
        self._was_away = False
        self._let_others_seconds = let_others_seconds
        self._process = process
        # Until then a hole may be filled by others; None: there is none.
        self._patient_until: float | None = None
        self._database = DatabaseThread("writer")

    def offer(self, arrival: Arrival) -> None:
        """Queue a frame; never blocks."""
        self.queue.offer(arrival)
        self._stirred.set()

    def stir(self) -> None:
        """Look at the queue, into which something else was put."""
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
                if self._was_away and self.queue.has_replay and not self._closing:
                    await self._let_others()
                await self._commit()
                delay = RETRY_SECONDS[0]
            except AheadOfOthersError:
                await asyncio.sleep(ASK_AGAIN_SECONDS)
            except Error as failure:
                self._failed(failure)
                await asyncio.sleep(random.uniform(delay / 2, delay))  # noqa: S311 (spreads load)
                delay = min(2 * delay, longest)

    def close(self) -> None:
        """Give the connection back; a transaction under way comes to its own end."""
        self._database.close()

    async def _let_others(self) -> None:
        """Wait until PostgreSQL answers, and a while; raises django.db.Error while it is away."""
        await self._database.run(_ask)
        self._was_away = False
        await asyncio.sleep(self._let_others_seconds)

    async def _commit(self) -> None:
        """Commit the oldest items in one transaction; raises django.db.Error, they stay then."""
        items = self.queue.first(self.most_trades)
        arrivals = [item for item in items if isinstance(item, Arrival)]
        reports = [item for item in items if isinstance(item, Reports)]
        lost = self.queue.lost
        now = time.monotonic()
        self._patient_until = self._patient_until or now + FILLED_WITHIN_SECONDS
        is_patient = now < self._patient_until and not self._closing
        try:
            done = await self._database.run(
                ingest,
                *(arrivals, self._known),
                lost=lost,
                reached=self._reached,
                reports=reports[-1].sockets if reports else (),
                waits_as=self._process if is_patient else "",
            )
        except (DataError, IntegrityError):
            self._narrow(items)
            raise
        self._patient_until = None
        self.queue.done(len(items), lost)
        self.most_trades = min(2 * self.most_trades, BATCH_TRADES)
        self._reached |= done.reached
        self.counted += done.trades
        self.new_traders += done.new_traders
        self.events += done.events
        if self.trouble:
            logger.info("database=back waiting=%d", self.queue.trades_waiting)
            self.trouble = ""

    def _narrow(self, items: list[Arrival | Reports]) -> None:
        """Look for the frame that cannot be written; alone, and for the second time, it goes."""
        if self.most_trades > 1:
            self.most_trades = max(1, self.most_trades // 4)
            return
        for place, item in enumerate(items, 1):
            if isinstance(item, Arrival):
                for trade in item.trades:
                    self.queue.lose(trade, "refused")
                self.refused += len(item.trades)
                self.queue.done(place)
                logger.error("coin=%s refused trades=%r", item.coin, item.trades[:3])
                return

    def _failed(self, failure: Error) -> None:
        """Show the trouble, and log it when it begins."""
        reason = f"{type(failure).__name__}: {' '.join(str(failure).split())}"[:200]
        if not self.trouble:
            logger.warning("database=away waiting=%d reason=%s", self.queue.trades_waiting, reason)
        self.trouble = reason
        if not isinstance(failure, DataError | IntegrityError):  # those are `_narrow`'s
            smaller = max(LEAST_BATCH_TRADES, self.most_trades // 2)
            self.most_trades = min(self.most_trades, smaller)
        self._was_away |= isinstance(failure, OperationalError | InterfaceError)
        # A server that comes back may be an older one (a restore, a failover): ask it anew.
        self._known.forget()


def _ask() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
