"""What an operator should be told, judged from what was observed (pure)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import Struct

#: The exchange's own limit of weight in any 60 s, for one IP.
EXCHANGE_WEIGHT_LIMIT = 1200
HIGH_WEIGHT = 0.97
#: A 429 is shown so long after the last one.
REMEMBER_429 = timedelta(minutes=10)
SILENCE = timedelta(seconds=60)
MOST_RECONNECTS = 6
LATE_ROTATION = 1.2
#: Slots without a heartbeat, and the least time for processes to start.
MISSED_SLOTS, LEAST_SILENCE_SECONDS = 2, 10
LEAST_DISK_BYTES = 10**9
# A pass that stopped for another reason was cut short.
GOOD_ENDS = frozenset({"", "weight spent", "nobody waits"})
LATE_END = "deadline"

CODES = (
    *("weight_high", "http_429", "feed_silent", "feed_reconnects", "pass_failed", "pass_late"),
    *("rotation_late", "scheduler_gone", "worker_gone", "disk_low", "job_quarantined"),
)


class Pass(Struct, frozen=True, kw_only=True):
    """The newest pass of tracking that ended; times in seconds."""

    finished_at: datetime
    seconds: float
    error: str = ""
    stopped_because: str = ""


class Observed(Struct, frozen=True, kw_only=True):
    """What is known at one moment; None is unknown, and raises nothing but where said."""

    now: datetime
    interval_seconds: int
    weight_peak: int | None = None
    last_429_at: datetime | None = None
    watching_since: datetime | None = None
    last_trade_at: datetime | None = None
    reconnects_last_hour: int | None = None
    last_pass: Pass | None = None
    pass_began_at: datetime | None = None  # of the one that runs now
    rotation_oldest: float | None = None
    rotation_due: float | None = None
    scheduler_seen_at: datetime | None = None  # None: never
    worker_seen_at: datetime | None = None  # None: never
    disk_free_bytes: int | None = None
    quarantined_jobs: tuple[str, ...] = ()


class Raised(Struct, frozen=True):
    """One alert: since when, and what is wrong in one sentence."""

    code: str
    since: datetime
    detail: str


def judge(seen: Observed) -> dict[str, Raised]:
    """Return the alerts that hold now, by their code."""
    rules = (_weight, _feed, _passes, _rotation, _processes, _rest)
    return {raised.code: raised for rule in rules for raised in rule(seen)}


def _weight(seen: Observed) -> Iterator[Raised]:
    if seen.weight_peak is not None and seen.weight_peak > HIGH_WEIGHT * EXCHANGE_WEIGHT_LIMIT:
        detail = f"{seen.weight_peak} of {EXCHANGE_WEIGHT_LIMIT} weight used within a minute"
        yield Raised("weight_high", seen.now, f"{detail} of the last hour")
    if seen.last_429_at is not None and seen.now - seen.last_429_at < REMEMBER_429:
        yield Raised("http_429", seen.last_429_at, "the exchange refused a request with HTTP 429")


def _feed(seen: Observed) -> Iterator[Raised]:
    since = seen.last_trade_at or seen.watching_since
    if since is not None and seen.now - since > SILENCE:
        yield Raised("feed_silent", since, "no trade has come for 60 s")
    count = seen.reconnects_last_hour
    if count is not None and count > MOST_RECONNECTS:
        yield Raised("feed_reconnects", seen.now, f"the feed reconnected {count} times in an hour")


def _passes(seen: Observed) -> Iterator[Raised]:
    ended, interval = seen.last_pass, seen.interval_seconds
    if ended is not None:
        reason = ended.error or ended.stopped_because
        if ended.error or ended.stopped_because not in GOOD_ENDS | {LATE_END}:
            yield Raised("pass_failed", ended.finished_at, f"the last pass failed: {reason}"[:300])
        elif ended.seconds > interval or ended.stopped_because == LATE_END:
            detail = f"the last pass took all of its interval of {interval} s"
            yield Raised("pass_late", ended.finished_at, detail)
    began = seen.pass_began_at
    if began is not None and (seen.now - began).total_seconds() > interval:
        detail = f"a pass has outlasted its interval of {interval} s and still runs"
        yield Raised("pass_late", began, detail)


def _rotation(seen: Observed) -> Iterator[Raised]:
    oldest, due = seen.rotation_oldest, seen.rotation_due
    if oldest is not None and due is not None and oldest > LATE_ROTATION * due:
        detail = f"a trader has waited {oldest:.0f} s, due after {due:.0f} s"
        yield Raised("rotation_late", seen.now, detail)


def _processes(seen: Observed) -> Iterator[Raised]:
    patience = max(MISSED_SLOTS * seen.interval_seconds, LEAST_SILENCE_SECONDS)
    for name, seen_at in (("scheduler", seen.scheduler_seen_at), ("worker", seen.worker_seen_at)):
        if seen_at is None:
            yield Raised(f"{name}_gone", seen.now, f"no {name} has ever been seen")
        elif (seen.now - seen_at).total_seconds() > patience:
            yield Raised(f"{name}_gone", seen_at, f"no {name} has been seen for {patience} s")


def _rest(seen: Observed) -> Iterator[Raised]:
    if seen.disk_free_bytes is not None and seen.disk_free_bytes < LEAST_DISK_BYTES:
        free = seen.disk_free_bytes // 10**6
        yield Raised("disk_low", seen.now, f"{free} MB are left on the disk")
    if seen.quarantined_jobs:
        names = ", ".join(seen.quarantined_jobs)
        detail = f"{names}: its workers died 3 times in a row"
        yield Raised("job_quarantined", seen.now, detail[:300])
