"""The numbers of `/api/v1/stats`: read within milliseconds, whatever the size of the tables.

What takes longer is measured by the workers; a measurement that has grown old is unknown again.
"""

from __future__ import annotations

import math
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.db import connection
from django.db.models import Case, Max, QuerySet, When

from hlcopy import heartbeats
from hlcopy.measurements import Measured, newest
from hlcopy.models import Alert, Heartbeat, JobHealth, JobRun, StatSample
from hlcopy.periodic import QUARANTINE, database_now
from leaderboard import cache
from traders import coverage
from traders.models import Correction, EventHead, FeedGap, FeedSocket, Trader
from traders.reading import number_of_traders
from web import alerts, sampling

TRACKING = "track_traders"
#: Older than this, in seconds, a measurement says nothing about now.
FRESH = {"weight": 60, "rotation": 300, "active_traders": 3600}
SAMPLE_FRESH_SECONDS = 60
#: What one account costs (docs/wire.md).
STATE_WEIGHT = 2
MEASURED = tuple(FRESH)
DAY = timedelta(days=1)
#: What is counted for each request ends here.
MOST_COUNTED = 100_000


def read(now: datetime | None = None) -> dict[str, Any]:
    """Return every number; unknown is None. Raises django.db.Error while the database is away."""
    now = now or database_now()
    counters = newest_counters()
    measured = newest(*MEASURED)
    content = {
        "time": now,
        "database": _database(now, measured),
        "feed": _feed(now, counters, measured),
        "tracking": _tracking(now, measured),
        "weight": _weight(now, counters, measured),
        "websocket": _websocket(),
        "cache": cache.facts(),
        "jobs": _jobs(now),
        "drift": _drift(now),
    }
    return content | {"alerts": _alerts(observe(now, content, counters, measured))}


def newest_counters() -> sampling.Counters | None:
    """Return what the newest sample counted."""
    sample = StatSample.objects.order_by("-sampled_at").first()
    return None if sample is None else sampling.decode(sample.values["counters"])


def _fresh(now: datetime, measured: dict[str, Measured], name: str) -> dict[str, Any]:
    """Return what was measured lately, else nothing."""
    found = measured.get(name)
    if found is None or now - found.at > timedelta(seconds=FRESH[name]):
        return {}
    return dict(found.values)


def _database(now: datetime, measured: dict[str, Measured]) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        (size_bytes,) = cursor.fetchone()
    return {
        "total_traders": number_of_traders(),
        "active_traders": _fresh(now, measured, "active_traders").get("active"),
        "total_trade_events": EventHead.objects.values_list("head", flat=True).first(),
        "size_bytes": size_bytes,
    }


def _feed(
    now: datetime, counters: sampling.Counters | None, measured: dict[str, Measured]
) -> dict[str, Any]:
    feed = coverage.feed()
    since = feed.since_at
    if since is None:
        # Who is connected and no longer seen was killed: then, not when it had connected.
        away = Case(When(connected=True, then="seen_at"), default="since_at")
        since = FeedSocket.objects.aggregate(since=Max(away))["since"]
    hour_ago = (
        StatSample.objects.filter(sampled_at__gte=now - timedelta(hours=1))
        .order_by("sampled_at")
        .first()
    )
    begin = None if hour_ago is None else sampling.decode(hour_ago.values["counters"])
    watched = counters is not None and now - counters.at < timedelta(seconds=SAMPLE_FRESH_SECONDS)
    known = counters if watched else None
    last_trade = known.last_trade_at if known else None
    return {
        "connected": feed.connected,
        "since": since,
        "sockets": feed.sockets,
        "reconnects_total": counters.reconnects_total if counters else None,
        "reconnects_last_hour": (
            known.reconnects_total - begin.reconnects_total if known and begin else None
        ),
        "trades_per_second": known.trades_per_second if known else None,
        "new_traders_per_minute": _fresh(now, measured, "rotation").get("new_per_minute"),
        "last_trade_age_seconds": (now - last_trade).total_seconds() if last_trade else None,
        "open_gaps": len(coverage.open_gaps()),
        "gaps_last_day": _number_of(
            FeedGap.objects.filter(noted_at__gt=now - DAY).exclude(reason=FeedGap.Reason.FIRST)
        ),
        "bad_frames": feed.bad_frames if feed.sockets else None,
        "silent_coins": len(coverage.silent_coins()) if feed.connected else None,
    }


def _number_of(rows: QuerySet[Any]) -> int:
    """Return how many rows there are, counted in their index and no further than is cheap."""
    return rows.order_by()[:MOST_COUNTED].count()


def _drift(now: datetime) -> dict[str, Any]:
    drifted = Correction.objects.filter(cause=Correction.Cause.DRIFT)
    return {
        "total": _number_of(drifted),
        "last_day": _number_of(drifted.filter(corrected_at__gt=now - DAY)),
    }


def _tracking(now: datetime, measured: dict[str, Measured]) -> dict[str, Any]:
    done = JobRun.objects.filter(job=TRACKING, state=JobRun.State.DONE).order_by("-slot").first()
    summary = done.summary if done else {}
    rotation = _fresh(now, measured, "rotation")
    return {
        "last_pass_at": done.finished_at if done else None,
        "pass_seconds": summary.get("seconds"),
        **{
            key: summary.get(key)
            for key in ("batches_ok", "batches_failed", "traders_ok", "traders_failed")
        },
        "rotation_seconds": {key: rotation.get(key) for key in ("p50", "p95", "oldest")},
        "healing": _number_of(Trader.objects.exclude(healing="")),
    }


def _weight(
    now: datetime, counters: sampling.Counters | None, measured: dict[str, Measured]
) -> dict[str, Any]:
    usage = _fresh(now, measured, "weight")
    return {
        "used_last_60s": usage.get("used"),
        "configured": settings.CONFIGURATION.hyperliquid_weight_per_minute,
        "limit": alerts.EXCHANGE_WEIGHT_LIMIT,
        "peak_last_hour": usage.get("peak"),
        "http_429_total": counters.http_429_total if counters else None,
        "measured_at": measured["weight"].at if "weight" in measured else None,
    }


def _websocket() -> dict[str, Any]:
    rows = [web.numbers for web in heartbeats.alive().filter(role=Heartbeat.Role.WEB)]
    keys = ("active_connections", "lagging", "closed_slow")
    return {key: sum(row.get(key, 0) for row in rows) for key in keys}


def _jobs(now: datetime) -> dict[str, Any]:
    living = list(heartbeats.alive().values_list("role", flat=True))
    jobs = {health.job: _job(health, now) for health in JobHealth.objects.order_by("job")}
    return {
        "schedulers": living.count("scheduler"),
        "workers": living.count("worker"),
        "periodic": jobs,
    }


def _job(health: JobHealth, now: datetime) -> dict[str, Any]:
    run = JobRun.objects.filter(job=health.job).order_by("-slot").first()
    ended = run.finished_at if run else None
    took = (ended - run.started_at).total_seconds() if run and ended and run.started_at else None
    return {
        "interval_seconds": health.seconds,
        "state": "quarantined" if _quarantined(health, now) else run.state if run else None,
        "slot": run.slot if run else None,
        "finished_at": ended,
        "run_seconds": took,
        "worker_deaths": health.deaths,
        "error": run.error if run and run.error else None,
    }


def _quarantined(health: JobHealth, now: datetime) -> bool:
    return health.quarantined_at is not None and now - health.quarantined_at < QUARANTINE


def observe(
    now: datetime,
    content: dict[str, Any],
    counters: sampling.Counters | None,
    measured: dict[str, Measured],
) -> alerts.Observed:
    """Return what the alerts are judged from."""
    configuration = settings.CONFIGURATION
    interval = configuration.tracking_interval_seconds
    accounts = _fresh(now, measured, "rotation").get("accounts")
    budget = configuration.hyperliquid_weight_per_minute * interval / 60
    of_a_pass = min(configuration.tracking_weight_per_pass, budget)
    passes = math.ceil((accounts or 0) * STATE_WEIGHT / of_a_pass)
    seen = dict(Heartbeat.objects.values_list("role").annotate(seen=Max("seen_at")))
    running = JobRun.objects.filter(job=TRACKING, state=JobRun.State.RUNNING).first()
    jobs = content["jobs"]["periodic"]
    return alerts.Observed(
        now=now,
        interval_seconds=interval,
        weight_peak=content["weight"]["peak_last_hour"],
        last_429_at=counters.last_429_at if counters else None,
        watching_since=counters.watching_since if counters else None,
        last_trade_at=counters.last_trade_at if counters else None,
        reconnects_last_hour=content["feed"]["reconnects_last_hour"],
        last_pass=_last_pass(),
        pass_began_at=running.started_at if running else None,
        rotation_oldest=content["tracking"]["rotation_seconds"]["oldest"],
        rotation_due=None if accounts is None else float(max(1, passes) * interval),
        scheduler_seen_at=seen.get("scheduler"),
        worker_seen_at=seen.get("worker"),
        disk_free_bytes=free_bytes(settings.DATA_DIRECTORY),
        quarantined_jobs=tuple(name for name in jobs if jobs[name]["state"] == "quarantined"),
    )


def free_bytes(folder: Path) -> int:
    """Return the room on the disk that holds the folder, or will hold it."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _last_pass() -> alerts.Pass | None:
    ended = JobRun.objects.filter(
        job=TRACKING, state__in=[JobRun.State.DONE, JobRun.State.FAILED]
    ).order_by("-slot")
    run = ended.first()
    if run is None or run.finished_at is None:
        return None
    began = run.started_at or run.finished_at
    return alerts.Pass(
        finished_at=run.finished_at,
        seconds=(run.finished_at - began).total_seconds(),
        error=run.error,
        stopped_because=str(run.summary.get("stopped_because", "")),
    )


def _alerts(observed: alerts.Observed) -> list[dict[str, Any]]:
    """Return what is judged now, since when it was first recorded."""
    since = dict(Alert.objects.filter(cleared_at=None).values_list("code", "since"))
    return [
        msgspec.structs.asdict(raised) | {"since": since.get(raised.code, raised.since)}
        for raised in alerts.judge(observed).values()
    ]
