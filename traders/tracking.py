"""One pass of batched tracking: claims traders, fetches their accounts, records what changed.

1. Batches are claimed until the pass's weight is given out; the next one as soon as fewer traders
   are open than requests may be in flight, so that slow replies do not hold up the others.
2. An account is fetched with no transaction open; the shared budget decides when.
3. Where the feed follows the account's coins, its snapshot waits until the feed has come past it.
   Then each trader is recorded in a transaction of its own: snapshots, positions, events, end of
   lease.
4. An error that is the trader's own makes it back off. 429, a closed budget, an unreachable
   exchange and a dead database are nobody's fault: the pass ends with the reason.
5. What is not fetched when the pass ends, at its deadline at the latest, is given back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import asdict, dataclass
from datetime import datetime

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError
from psycopg import errors

from exchange.errors import BudgetClosed, ExchangeError, RateLimited, TransportError
from exchange.info import InfoClient
from exchange.replies import AccountState
from hlcopy.clock import utc_now
from hlcopy.periodic import database_now
from traders import claims, leases
from traders.claims import Batch, Claim
from traders.fetching import REQUESTS_IN_FLIGHT, STATE_WEIGHT, Fetching
from traders.following import FeedAhead
from traders.pass_limits import Limits, Summary
from traders.tracked import record

logger = logging.getLogger(__name__)

#: So many failed requests without a reply in between are the exchange's failure.
UNREACHABLE_AFTER = 10
# The database refused this one transaction but is well.
TRANSIENT = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)


@dataclass(slots=True)
class _BatchRun:
    open: int
    ok: bool = False
    failed: bool = False


async def run_pass(info: InfoClient, limits: Limits) -> Summary:
    """Run one pass and return what it has done, which is logged as one line.

    Nothing that the exchange, an account or the database does is raised. Passes may overlap: a
    trader is leased to one of them.
    """
    summary = await _Pass(info, limits).run()
    told = " ".join(f"{key}={value!r}" for key, value in asdict(summary).items())
    logger.info("%s %s", "tracking" if limits.rotates else "healing", told)
    return summary


class _Pass:
    """The state of one pass."""

    def __init__(self, info: InfoClient, limits: Limits) -> None:
        self._limits = limits
        self._fetching = Fetching(info)
        self._summary = Summary()
        self._started = time.monotonic()
        self._seconds_per_weight = limits.spread_seconds / limits.weight
        # The weight of the accounts that were claimed.
        self._given_out = 0
        self._tasks: set[asyncio.Task[None]] = set()
        # How many of them wait for replies; the others wait for the feed, or are recorded.
        self._asking = 0
        self._stirred = asyncio.Event()
        self._feed = FeedAhead()
        self._claimed: list[Claim] = []
        self._released: list[Claim] = []
        # Whose request failed, until a reply shows that the exchange is there.
        self._doubtful: list[tuple[Claim, TransportError]] = []

    async def run(self) -> Summary:
        """Claim, fetch and record until there is a reason to stop."""
        summary = self._summary
        loop = asyncio.get_running_loop()
        deadline = loop.call_later(self._limits.seconds, self._abort, "deadline")
        renewing = asyncio.create_task(leases.keep(self._claimed))
        reason = await self._claim_batches()
        await self._until_open(below=1)
        deadline.cancel()
        renewing.cancel()
        await asyncio.wait([renewing])
        if self._doubtful and not summary.traders_ok:
            self._abort(f"unreachable: {_short(self._doubtful[0][1])}")
        self._released += (claim for claim, _ in self._doubtful)
        try:
            await sync_to_async(claims.release)(self._released)
        except (OperationalError, InterfaceError) as error:
            self._database_failed(error)
        summary.traders_released = len(self._released)
        summary.weight_used = self._fetching.weight_used
        summary.stopped_because = summary.stopped_because or reason
        summary.seconds = round(time.monotonic() - self._started, 3)
        return summary

    async def _claim_batches(self) -> str:
        """Give out the pass's weight; return why no more is claimed."""
        try:
            before = await sync_to_async(database_now)()
            # Every few seconds a round of healing finds nobody: then nothing is asked for at all.
            if not self._limits.rotates and not await sync_to_async(claims.is_anybody_due)(before):
                return "nobody waits"
            await self._fetching.refresh(self._limits.dexes)
            while not self._fetching.stopped:
                left = self._weight_left()
                if left < STATE_WEIGHT:
                    return "weight spent"
                due = self._started + self._given_out * self._seconds_per_weight
                await self._fetching.pause_until(due)
                if not await self._claim_batch(left // STATE_WEIGHT, before):
                    return "nobody waits"
        except asyncio.CancelledError:
            if not self._fetching.stopped:
                raise
        except ExchangeError as error:
            self._abort(_short(error))
        except (OperationalError, InterfaceError) as error:
            self._database_failed(error)
            return "database busy"
        return ""

    def _weight_left(self) -> int:
        return self._limits.weight - self._given_out - self._fetching.weight_of_lists

    async def _claim_batch(self, size: int, before: datetime) -> bool:
        """Claim and start the next batch, and wait until there is room for another; False: none."""
        alone = not self._tasks
        batch = await sync_to_async(claims.claim)(
            min(size, self._limits.batch_size),
            lease_seconds=leases.LEASE_SECONDS,
            before=before,
            alone=alone,
            rotates=self._limits.rotates,
        )
        if not batch.claims and (alone or not batch.suspect_waits):
            return False
        self._begin(batch)
        # A suspect has the process to itself, so that its death is blamed on nobody else.
        undivided = batch.alone or not batch.claims
        if undivided:
            await self._until_open(below=1)
        else:
            await self._until_room()
        return True

    def _begin(self, batch: Batch) -> None:
        """Start the batch's traders; what the pass's weight does not reach is given back."""
        run = _BatchRun(open=len(batch.claims))
        self._claimed += batch.claims
        for claim in batch.claims:
            cost = STATE_WEIGHT * len(claim.dexes)
            if self._given_out and cost > self._weight_left():
                self._released.append(claim)
                run.open -= 1
                continue
            self._given_out += cost
            self._asking += 1
            task = asyncio.create_task(self._track(claim, run))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _until_open(self, *, below: int) -> None:
        """Wait until fewer traders than `below` are open."""
        while len(self._tasks) >= below:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def _until_room(self) -> None:
        """Wait until fewer traders wait for replies than requests may be in flight."""
        while self._asking >= REQUESTS_IN_FLIGHT:
            self._stirred.clear()
            await self._stirred.wait()

    async def _track(self, claim: Claim, run: _BatchRun) -> None:
        """Fetch and record one trader; every way in which that can fail ends here."""
        try:
            states = await self._ask(claim)
            await self._trust_exchange()
            if await self._record(claim, states):
                run.ok = True
        except asyncio.CancelledError:
            if not self._fetching.stopped:
                raise
            self._released.append(claim)
        except (RateLimited, BudgetClosed) as error:
            self._released.append(claim)
            self._abort(_short(error))
        except TransportError as error:
            run.failed = True
            self._doubtful.append((claim, error))
            if len(self._doubtful) >= UNREACHABLE_AFTER:
                self._abort(f"unreachable: {_short(error)}")
        except (OperationalError, InterfaceError) as error:
            run.failed = True
            self._released.append(claim)
            self._database_failed(error)
        except Exception as error:  # noqa: BLE001 (one account's poison must not cost the others)
            run.failed = True
            await self._fail(claim, error)
        run.open -= 1
        if run.open == 0:
            self._summary.batches_ok += run.ok
            self._summary.batches_failed += run.failed and not run.ok

    async def _ask(self, claim: Claim) -> dict[str, AccountState]:
        """Return the account's state on each dex; whatever comes of it makes room for the next."""
        try:
            return await self._fetching.states(claim.address, claim.dexes)
        finally:
            self._asking -= 1
            self._stirred.set()

    async def _record(self, claim: Claim, states: dict[str, AccountState]) -> bool:
        """Write what was fetched; False if the lease was lost."""
        fetched_at = utc_now()
        newest_ms = max(state.time_ms for state in states.values())
        with self._fetching.stoppable():
            followed = await self._feed.past(newest_ms)
        recorded = await sync_to_async(record)(
            claim, states, self._fetching.size_decimals, fetched_at, followed
        )
        if recorded is None:
            self._released.append(claim)
            return False
        self._summary.traders_ok += 1
        self._summary.events += recorded.events
        self._summary.corrections += len(recorded.corrections)
        return True

    async def _trust_exchange(self) -> None:
        """Blame the traders whose requests failed: a reply has shown that it was their own."""
        doubtful, self._doubtful = self._doubtful, []
        for claim, error in doubtful:
            await self._fail(claim, error)

    async def _fail(self, claim: Claim, error: Exception) -> None:
        """Let the trader back off; errors that nobody foresaw are logged in full."""
        if not isinstance(error, ExchangeError):
            logger.error("trader=%s could not be tracked", claim.address, exc_info=error)
        try:
            await sync_to_async(claims.fail)(claim, _short(error))
        except (OperationalError, InterfaceError) as failure:
            self._database_failed(failure)
        self._summary.traders_failed += 1

    def _abort(self, reason: str) -> None:
        """End the pass; what is being recorded is finished, what is being fetched is not."""
        if not self._fetching.stopped:
            self._summary.stopped_because = reason
            self._fetching.stop()

    def _database_failed(self, error: Exception) -> None:
        """End the pass if the database is away; the leases that it has run out by themselves."""
        logger.warning("tracking: the database failed: %s", _short(error))
        if not isinstance(error.__cause__, TRANSIENT):
            self._abort(f"database: {_short(error)}")


def _short(error: Exception) -> str:
    """Return an error as one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[: claims.ERROR_LENGTH]
