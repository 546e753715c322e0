"""Jobs that run once in every slot, however many schedulers and workers there are.

1. `runscheduler` inserts the row (job, slot): only one insert of a slot succeeds, and only that
   scheduler sends the message. Missed slots are never made up for: only the present one is sent.
2. The worker takes the slot by changing its row to `running`, with a lease that its heartbeat
   renews; a message that comes twice, or while another slot of the job runs, finds nothing to take.
3. A message that nobody took is sent again, because Redis may have lost it.
4. A run whose lease is over has lost its worker: the slot is sent again if it is still the present
   one. The third such death in a row puts the job in quarantine, for five minutes.
5. A job that finds nothing to work on yet (`NotYetError`) has its slot sent again a second later.

The truth is the row, and PostgreSQL's clock.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import dramatiq
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from hlcopy.heartbeats import process_name
from hlcopy.models import JobHealth, JobRun
from hlcopy.slots import slot_at

logger = logging.getLogger(__name__)
QUARANTINE_AFTER = 3
# Short: the third death is also what tells tracking which trader it was, and it can go on then.
QUARANTINE = timedelta(minutes=5)
# A lease is a quarter of the period, within these.
SHORTEST_LEASE_SECONDS, LONGEST_LEASE_SECONDS = 3, 10
# So much later a job that could not begin yet is tried again.
NOT_YET_SECONDS = 1
# Beyond its period a run may take this long before it is ended.
GRACE_SECONDS = 30
State = JobRun.State


class NotYetError(Exception):
    """What a job works on is not there yet; raised by the job, it is no failure."""


@dataclass(frozen=True, slots=True)
class Job:
    """One periodic job: its name is its actor's."""

    name: str
    seconds: int
    actor: dramatiq.Actor[[int], None]

    @property
    def lease(self) -> timedelta:
        """How long a message may go untaken, or a worker silent, before the slot is sent again."""
        quarter = self.seconds / 4
        return timedelta(seconds=min(max(quarter, SHORTEST_LEASE_SECONDS), LONGEST_LEASE_SECONDS))


JOBS: dict[str, Job] = {}
# What runs in this process: (job, slot) -> when it began, monotonic.
_running: dict[tuple[str, int], float] = {}


def periodic(*, seconds: int) -> Callable[[Callable[[], dict[str, object]]], Job]:
    """Make a function without arguments a job that runs once in every slot of `seconds`.

    What the function returns, a flat JSON object, becomes the run's summary.
    """

    def register(function: Callable[[], dict[str, object]]) -> Job:
        name = function.__name__

        def run(slot: int) -> None:
            run_slot(JOBS[name], slot, function)

        actor = dramatiq.actor(
            actor_name=name,
            max_retries=0,
            max_age=seconds * 1000,
            time_limit=(seconds + GRACE_SECONDS) * 1000,
        )(run)
        JOBS[name] = Job(name, seconds, actor)
        return JOBS[name]

    return register


def run_slot(job: Job, slot: int, function: Callable[[], dict[str, object]]) -> bool:
    """Run the function if the slot can be taken; return whether it was run.

    A failure is recorded in the run and logged; the next slot is the retry.
    """
    worker = process_name()
    if not take(job, slot, worker):
        logger.info("job=%s slot=%d not taken: done, or another slot runs", job.name, slot)
        return False
    _running[job.name, slot] = time.monotonic()
    state, summary, error = State.DONE, dict[str, object](), ""
    try:
        summary = function()
    except NotYetError as reason:
        _put_back(job, slot, str(reason))
        return True
    except (Exception, dramatiq.middleware.Interrupt) as failure:
        logger.exception("job=%s slot=%d failed", job.name, slot)
        state, error = State.FAILED, f"{type(failure).__name__}: {failure}"[:2000]
    finally:
        _running.pop((job.name, slot), None)
    _finish(job, slot, worker, state=state, summary=summary, error=error)
    return True


def take(job: Job, slot: int, worker: str) -> bool:
    """Change the slot's row to running; False if it is not waiting, or another slot runs."""
    with transaction.atomic():
        _lock(job)
        alive = JobRun.objects.filter(job=job.name, state=State.RUNNING, lease_until__gt=Now())
        if alive.exists():
            return False
        taken = JobRun.objects.filter(job=job.name, slot=slot, state=State.SENT).update(
            state=State.RUNNING, started_at=Now(), lease_until=Now() + job.lease, worker=worker
        )
    return taken == 1


def _put_back(job: Job, slot: int, reason: str) -> None:
    """Let the slot be sent again soon: the job had nothing to work on."""
    again = Now() + timedelta(seconds=NOT_YET_SECONDS)
    _mine(job.name, slot).update(state=State.SENT, lease_until=again, error=reason)


def _finish(
    job: Job, slot: int, worker: str, *, state: State, summary: dict[str, object], error: str
) -> None:
    """Record how a run ended, unless it was believed dead; that it ended ends every suspicion."""
    mine = JobRun.objects.filter(job=job.name, slot=slot, state=State.RUNNING, worker=worker)
    if not mine.update(
        state=state, finished_at=Now(), lease_until=None, summary=summary, error=error
    ):
        logger.warning("job=%s slot=%d ended after its lease", job.name, slot)
    JobHealth.objects.filter(job=job.name).exclude(deaths=0).update(deaths=0, quarantined_at=None)


def renew() -> None:
    """Renew the leases of what runs in this process, but not of what runs without end."""
    now = time.monotonic()
    for (name, slot), began in list(_running.items()):
        job = JOBS[name]
        if now - began < job.seconds + 2 * GRACE_SECONDS:
            _mine(name, slot).update(lease_until=Now() + job.lease)


def give_back() -> None:
    """The process ends: what runs in it may be sent again at once, and nobody died."""
    for name, slot in list(_running):
        _mine(name, slot).update(state=State.SENT, lease_until=Now())


def _mine(name: str, slot: int) -> QuerySet[JobRun]:
    return JobRun.objects.filter(job=name, slot=slot, state=State.RUNNING, worker=process_name())


def database_now() -> datetime:
    """Return PostgreSQL's time: the one clock that all schedulers share."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        now: datetime = cursor.fetchone()[0]
    return now


def send_due(now: datetime) -> list[str]:
    """Send every job whose present slot still has to be sent; return their names.

    One look of a scheduler: safe from any number of processes at once, and cheap where nothing is
    due.
    """
    present = {job.name: slot_at(now, job.seconds) for job in JOBS.values()}
    sent = []
    for name in _due(present, now):
        if _claim(JOBS[name], present[name], now):
            JOBS[name].actor.send(present[name])
            sent.append(name)
    return sent


def _due(present: dict[str, int], now: datetime) -> list[str]:
    """Return the jobs without a row of the present slot, or with an unfinished one to look at."""
    is_present = Q(*(Q(job=name, slot=slot) for name, slot in present.items()), _connector=Q.OR)
    begun = set(JobRun.objects.filter(is_present).values_list("job", flat=True))
    left = {
        name
        for name, slot, until in JobRun.objects.filter(
            state__in=[State.SENT, State.RUNNING], job__in=present
        ).values_list("job", "slot", "lease_until")
        if until is None or until < now
    }
    return [name for name in present if name not in begun or name in left]


def _claim(job: Job, slot: int, now: datetime) -> bool:
    """Make the slot, or what became of its message, this scheduler's to send; False: nothing."""
    with transaction.atomic():
        health = _lock(job)
        runs = JobRun.objects.filter(job=job.name)
        runs.filter(state=State.SENT, slot__lt=slot).update(state=State.MISSED, finished_at=now)
        for run in runs.filter(state=State.RUNNING, lease_until__lt=now):
            _bury(run, health, slot, now)
        if health.quarantined_at is not None and health.quarantined_at > now - QUARANTINE:
            return False
        claim = {"sent_at": now, "lease_until": now + job.lease}
        _, created = runs.get_or_create(job=job.name, slot=slot, defaults=claim | {"attempts": 1})
        lost = runs.filter(slot=slot, state=State.SENT, lease_until__lte=now)
        return created or lost.update(attempts=F("attempts") + 1, **claim) == 1


def _bury(run: JobRun, health: JobHealth, slot: int, now: datetime) -> None:
    """Count the death of a run's worker; the present slot may be sent again, until the third."""
    health.deaths += 1
    logger.error(
        "job=%s slot=%d worker=%s died deaths=%d", run.job, run.slot, run.worker, health.deaths
    )
    run.error = f"its worker died: {run.worker}"
    if health.deaths >= QUARANTINE_AFTER:
        health.quarantined_at = now
        run.error += f", the {health.deaths}. in a row: the job is in quarantine"
    if run.slot == slot and health.deaths < QUARANTINE_AFTER:
        run.state, run.lease_until = State.SENT, now
    else:
        run.state, run.lease_until, run.finished_at = State.FAILED, None, now
    run.save()
    health.save()


def _lock(job: Job) -> JobHealth:
    """Hold the job's row until the end of the transaction; made when first needed."""
    rows = JobHealth.objects.select_for_update()
    health = rows.filter(job=job.name).first()
    if health is None:
        JobHealth.objects.bulk_create(
            [JobHealth(job=job.name, seconds=job.seconds)], ignore_conflicts=True
        )
        health = rows.get(job=job.name)
    if health.seconds != job.seconds:
        health.seconds = job.seconds
        health.save()
    return health
