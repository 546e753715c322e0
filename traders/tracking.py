"""One pass of batched tracking: claims traders, fetches their accounts, records what changed.

1. Batches are claimed until the pass's weight is given out; the next one as soon as fewer traders
   are open than requests may be in flight, so that slow replies do not hold up the others.
2. An account is fetched with no transaction open; the shared budget decides when.
3. Each trader is recorded in a transaction of its own: snapshots, positions, events, end of lease.
4. An error that is the trader's own makes it back off. 429, a closed budget, an unreachable
   exchange and a dead database are nobody's fault: the pass ends with the reason.
5. What is not fetched when the pass ends, at its deadline at the latest, is given back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TypeVar

import psycopg
from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError

from exchange import weights
from exchange.errors import BudgetClosed, ExchangeError, RateLimited, TransportError
from exchange.info import InfoClient
from exchange.replies import AccountState
from hlcopy.clock import utc_now
from hlcopy.periodic import database_now
from traders import claims, coins, recording
from traders.claims import Batch, Claim
from traders.recording import Recorded

logger = logging.getLogger(__name__)
T = TypeVar("T")

STATE_WEIGHT = weights.most("clearinghouseState")
#: As many as InfoClient has connections: 500 replies that take 8 s each fit into 75 s.
REQUESTS_IN_FLIGHT = 64
#: So many failed requests without a reply in between are the exchange's failure.
UNREACHABLE_AFTER = 10
#: A lease outlives its pass by this: what is just being recorded is not claimed by others.
LEASE_GRACE_SECONDS = 5
# The database refused this one transaction but is well.
TRANSIENT = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one pass may use; after `seconds` it must have ended."""

    batch_size: int
    weight: int
    seconds: float
    dexes: tuple[str, ...] = ("",)


@dataclass(slots=True)
class Summary:
    """What a pass has done.

    A batch in which no trader could be tracked has failed; `traders_released` were given back
    untouched; `weight_used` is that of the requests that were answered or failed.
    """

    batches_ok: int = 0
    batches_failed: int = 0
    traders_ok: int = 0
    traders_failed: int = 0
    traders_released: int = 0
    events: int = 0
    weight_used: int = 0
    seconds: float = 0.0
    stopped_because: str = ""

    def __str__(self) -> str:
        """Return one line of key=value."""
        return " ".join(f"{key}={value!r}" for key, value in asdict(self).items())


@dataclass(slots=True)
class _BatchRun:
    open: int
    ok: bool = False


async def run_pass(info: InfoClient, limits: Limits) -> Summary:
    """Run one pass and return what it has done, which is logged as one line.

    Nothing that the exchange, an account or the database does is raised. Passes may overlap: a
    trader is leased to one of them.
    """
    summary = await _Pass(info, limits).run()
    logger.info("tracking %s", summary)
    return summary


class _Pass:
    """The state of one pass."""

    def __init__(self, info: InfoClient, limits: Limits) -> None:
        self._info = info
        self._limits = limits
        self._ends_at = time.monotonic() + limits.seconds
        self._summary = Summary()
        self._given_out = 0
        self._aborted = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._fetching: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(REQUESTS_IN_FLIGHT)
        self._released: list[Claim] = []
        # Whose request failed, until a reply shows that the exchange is there.
        self._doubtful: list[tuple[Claim, TransportError]] = []
        self._size_decimals: dict[str, int] = {}
        self._relisted: set[str] = set()

    async def run(self) -> Summary:
        """Claim, fetch and record until there is a reason to stop."""
        started = time.monotonic()
        loop = asyncio.get_running_loop()
        deadline = loop.call_later(self._limits.seconds, self._abort, "deadline")
        reason = ""
        before = await self._database(database_now)
        if before is not None and await self._refresh_coins():
            reason = await self._claim_batches(before)
        await self._until_open(below=1)
        deadline.cancel()
        if self._doubtful and not self._summary.traders_ok:
            self._abort(f"unreachable: {_short(self._doubtful[0][1])}")
        self._released += [claim for claim, _ in self._doubtful]
        await self._database(claims.release, self._released)
        self._summary.traders_released = len(self._released)
        self._summary.stopped_because = self._aborted or reason
        self._summary.seconds = round(time.monotonic() - started, 3)
        return self._summary

    async def _claim_batches(self, before: datetime) -> str:
        """Give out the pass's weight; return why no more is claimed."""
        while not self._aborted:
            left = self._limits.weight - self._given_out
            size = min(self._limits.batch_size, left // STATE_WEIGHT)
            if size <= 0:
                return "weight spent"
            lease_seconds = max(0.0, self._ends_at - time.monotonic()) + LEASE_GRACE_SECONDS
            alone = not self._tasks
            batch = await self._database(
                lambda size=size, lease=lease_seconds, alone=alone: claims.claim(
                    size, lease_seconds=lease, before=before, alone=alone
                )
            )
            if batch is None:
                return "database busy"
            if not batch.claims and (alone or not batch.suspect_waits):
                return "nobody waits"
            self._begin(batch)
            is_alone = batch.alone or not batch.claims
            await self._until_open(below=1 if is_alone else REQUESTS_IN_FLIGHT)
        return ""

    def _begin(self, batch: Batch) -> None:
        """Start the batch's traders; what the pass's weight does not reach is given back."""
        run = _BatchRun(open=len(batch.claims))
        for claim in batch.claims:
            cost = STATE_WEIGHT * len(claim.dexes)
            if self._given_out and self._given_out + cost > self._limits.weight:
                self._released.append(claim)
                run.open -= 1
                continue
            self._given_out += cost
            task = asyncio.create_task(self._track(claim, run))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _until_open(self, *, below: int) -> None:
        """Wait until fewer traders than `below` are open."""
        while len(self._tasks) >= below:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    def _abort(self, reason: str) -> None:
        """End the pass; what is being recorded is finished, what is being fetched is not."""
        if not self._aborted:
            self._aborted = reason
            for task in self._fetching:
                task.cancel()

    async def _track(self, claim: Claim, run: _BatchRun) -> None:
        """Fetch and record one trader; every way in which that can fail ends here."""
        try:
            states = await self._fetch(claim)
            await self._trust_exchange()
            if await self._record(claim, states):
                run.ok = True
            else:
                self._released.append(claim)
        except asyncio.CancelledError:
            if not self._aborted:
                raise
            self._released.append(claim)
        except (RateLimited, BudgetClosed) as error:
            self._released.append(claim)
            self._abort(_short(error))
        except TransportError as error:
            self._doubtful.append((claim, error))
            if len(self._doubtful) >= UNREACHABLE_AFTER:
                self._abort(f"unreachable: {_short(error)}")
        except Exception as error:  # noqa: BLE001 (one account's poison must not cost the others)
            await self._fail(claim, error)
        run.open -= 1
        if run.open == 0:
            self._summary.batches_ok += run.ok
            self._summary.batches_failed += not run.ok

    async def _fetch(self, claim: Claim) -> dict[str, AccountState]:
        """Fetch the trader's account on each of its dexes, and a list of coins that it needs."""
        states: dict[str, AccountState] = {}
        with self._interruptible():
            async with self._slots:
                for dex in claim.dexes:
                    states[dex] = await self._fetch_account(claim.address, dex)
                    held = {position.coin for position in states[dex].positions}
                    if not held <= self._size_decimals.keys() and dex not in self._relisted:
                        await self._relist(dex)
        return states

    async def _fetch_account(self, address: str, dex: str) -> AccountState:
        try:
            state = await self._info.clearinghouse_state(address, dex)
        except (RateLimited, BudgetClosed):
            raise
        except ExchangeError:
            self._summary.weight_used += STATE_WEIGHT
            raise
        self._summary.weight_used += STATE_WEIGHT
        return state

    async def _record(self, claim: Claim, states: dict[str, AccountState]) -> bool:
        """Write what was fetched; False if the lease was lost or the database did not take it."""
        recorded = await self._database(
            lambda: record(claim, states, self._size_decimals, utc_now())
        )
        if recorded is None:
            return False
        self._summary.traders_ok += 1
        self._summary.events += recorded.events
        return True

    async def _trust_exchange(self) -> None:
        """Blame the traders whose requests failed: this reply shows that it was their own."""
        doubtful, self._doubtful = self._doubtful, []
        for claim, error in doubtful:
            await self._fail(claim, error)

    async def _fail(self, claim: Claim, error: Exception) -> None:
        if not isinstance(error, ExchangeError):
            logger.error("trader=%s could not be tracked", claim.address, exc_info=error)
        await self._database(lambda: claims.fail(claim, _short(error)))
        self._summary.traders_failed += 1

    async def _refresh_coins(self) -> bool:
        """Bring the lists of coins up to date; False if the pass was ended by it."""
        try:
            with self._interruptible():
                for dex in await self._database(coins.due_dexes, self._limits.dexes) or ():
                    await self._relist(dex)
        except asyncio.CancelledError:
            if not self._aborted:
                raise
        except (RateLimited, BudgetClosed) as error:
            self._abort(_short(error))
        self._size_decimals = await self._database(coins.size_decimals) or {}
        return not self._aborted

    async def _relist(self, dex: str) -> None:
        """Fetch a dex's list of coins, once in a pass; without it the known one goes on."""
        self._relisted.add(dex)
        self._given_out += coins.META_WEIGHT
        try:
            await coins.refresh(self._info, dex)
            self._summary.weight_used += coins.META_WEIGHT
        except (RateLimited, BudgetClosed):
            raise
        except ExchangeError as error:
            logger.warning("dex=%r its coins are not refreshed: %s", dex, _short(error))
        self._size_decimals = await self._database(coins.size_decimals) or self._size_decimals

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Mark the present task as one that the pass's end may cancel."""
        task = asyncio.current_task()
        if self._aborted or task is None:
            raise asyncio.CancelledError
        self._fetching.add(task)
        try:
            yield
        finally:
            self._fetching.discard(task)

    async def _database(self, function: Callable[..., T], *arguments: object) -> T | None:
        """Run a function in the database's thread; None if the database failed it.

        A database that is away ends the pass; its leases run out by themselves.
        """
        try:
            return await sync_to_async(function)(*arguments)
        except (OperationalError, InterfaceError) as error:
            if not isinstance(error.__cause__, TRANSIENT):
                self._abort(f"database: {_short(error)}")
            logger.warning("tracking: the database failed a write: %s", _short(error))
            return None


def record(
    claim: Claim,
    states: dict[str, AccountState],
    size_decimals: dict[str, int],
    fetched_at: datetime,
) -> Recorded | None:
    """Write a trader's snapshots and end its lease, in one transaction; None if it was lost."""
    with recording.writing():
        # The trader's row before its ledger's, as everywhere.
        if not claims.finish(claim):
            return None
        recorded = recording.record_snapshots(
            claim.trader_id,
            claim.address,
            states,
            size_decimals=size_decimals,
            fetched_at=fetched_at,
        )
        if recorded.look_again:
            claims.look_again(claim.trader_id)
    return recorded


def _short(error: Exception) -> str:
    """Return an error as one short line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[: claims.ERROR_LENGTH]
