"""Jobs that run once in every slot, however many schedulers and workers there are.

1. `runscheduler` inserts the row (job, slot): only one insert of a slot succeeds, and only that
   scheduler sends the message. Missed slots are never made up for: only the present one is sent.
2. The worker takes the slot by changing its row to `running`, with a lease; a message that comes
   twice, or while an earlier slot of the job still runs, finds nothing to take.
3. A slot that was sent or taken and not finished within its lease is sent again, up to 3 times.

The truth is the row: Redis may lose the message, and the slot is sent again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import dramatiq
from django.db import connection, transaction
from django.db.models import Q

from hlcopy.clock import utc_now
from hlcopy.models import JobRun
from hlcopy.slots import slot_at

logger = logging.getLogger(__name__)
MAX_ATTEMPTS = 3
SENT_LEASE = timedelta(seconds=30)
# Beyond its period a run may take this long before it is believed dead.
GRACE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Job:
    """One periodic job: its name is its actor's."""

    name: str
    seconds: int
    actor: dramatiq.Actor[[int], None]

    @property
    def lease(self) -> timedelta:
        """How long a run may take before its slot is sent again."""
        return timedelta(seconds=self.seconds + GRACE_SECONDS)


JOBS: dict[str, Job] = {}


def periodic(*, seconds: int) -> Callable[[Callable[[], dict[str, object]]], Job]:
    """Make a function without arguments a job that runs once in every slot of `seconds`.

    What the function returns, a flat JSON object, becomes the run's summary.
    """

    def register(function: Callable[[], dict[str, object]]) -> Job:
        name = function.__name__

        def run(slot: int) -> None:
            run_slot(JOBS[name], slot, function)

        actor = dramatiq.actor(
            run,
            actor_name=name,
            max_retries=0,
            max_age=seconds * 1000,
            time_limit=(seconds + GRACE_SECONDS) * 1000,
        )
        JOBS[name] = Job(name, seconds, actor)
        return JOBS[name]

    return register


def run_slot(job: Job, slot: int, function: Callable[[], dict[str, object]]) -> bool:
    """Run the function if the slot can be taken; return whether it was run.

    A failure is recorded in the run and logged; the next slot is the retry.
    """
    if not take(job, slot):
        logger.info("job=%s slot=%d not taken: done, or an earlier slot runs", job.name, slot)
        return False
    state, summary, error = JobRun.State.DONE, dict[str, object](), ""
    try:
        summary = function()
    except Exception as failure:
        logger.exception("job=%s slot=%d failed", job.name, slot)
        state, error = JobRun.State.FAILED, f"{type(failure).__name__}: {failure}"[:2000]
    JobRun.objects.filter(job=job.name, slot=slot).update(
        state=state, finished_at=utc_now(), lease_until=None, summary=summary, error=error
    )
    return True


def take(job: Job, slot: int) -> bool:
    """Change the slot's row to running; False if it is done, or another slot of the job runs."""
    with transaction.atomic():
        # Two slots of one job must not be taken at the same moment.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"job:{job.name}"])
        now = database_now()
        alive = Q(state=JobRun.State.RUNNING, lease_until__gt=now)
        if JobRun.objects.filter(alive, job=job.name).exists():
            return False
        taken = JobRun.objects.filter(
            Q(state=JobRun.State.SENT) | Q(state=JobRun.State.RUNNING), job=job.name, slot=slot
        ).update(state=JobRun.State.RUNNING, started_at=now, lease_until=now + job.lease)
    return taken == 1


def database_now() -> datetime:
    """Return PostgreSQL's time: the one clock that all schedulers share."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        now: datetime = cursor.fetchone()[0]
    return now


def send_due(now: datetime) -> list[str]:
    """Send every job whose present slot still has to be sent; return their names.

    One pass of the scheduler: safe to call from any number of processes at once.
    """
    return [job.name for job in JOBS.values() if _send_if_due(job, slot_at(now, job.seconds), now)]


def _send_if_due(job: Job, slot: int, now: datetime) -> bool:
    """Claim the slot, or reclaim it if whoever had it did not finish; then send its message."""
    _, created = JobRun.objects.get_or_create(
        job=job.name,
        slot=slot,
        defaults={"sent_at": now, "attempts": 1, "lease_until": now + SENT_LEASE},
    )
    if not created and not _reclaim(job, slot, now):
        return False
    job.actor.send(slot)
    return True


def _reclaim(job: Job, slot: int, now: datetime) -> bool:
    """Take an unfinished slot whose lease is over, as only one scheduler can; give up after 3."""
    overdue = JobRun.objects.filter(
        job=job.name,
        slot=slot,
        state__in=[JobRun.State.SENT, JobRun.State.RUNNING],
        lease_until__lt=now,
    )
    given_up = overdue.filter(attempts__gte=MAX_ATTEMPTS).update(
        state=JobRun.State.FAILED,
        finished_at=now,
        error=f"sent {MAX_ATTEMPTS} times and never finished",
    )
    if given_up:
        logger.error("job=%s slot=%d given up after %d attempts", job.name, slot, MAX_ATTEMPTS)
        return False
    run = overdue.first()
    if run is None:
        return False
    return (
        overdue.filter(attempts=run.attempts).update(
            state=JobRun.State.SENT,
            attempts=run.attempts + 1,
            sent_at=now,
            lease_until=now + SENT_LEASE,
        )
        == 1
    )
