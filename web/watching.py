"""The watch: takes a sample of the numbers, and records which alerts rise and clear."""

from __future__ import annotations

import functools
import logging
import operator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from hlcopy.measurements import newest
from hlcopy.models import Alert, StatSample
from hlcopy.periodic import database_now
from traders import coverage
from web import sampling, stats

logger = logging.getLogger(__name__)
#: Without a worker nobody watches: then whoever reads the numbers does, once in so long.
LATE_SECONDS = 30
#: What the overview draws, in this order: where the number stands.
CHARTED = {
    "trades_per_second": ("feed", "trades_per_second"),
    "new_traders_per_minute": ("feed", "new_traders_per_minute"),
    "total_traders": ("database", "total_traders"),
    "total_trade_events": ("database", "total_trade_events"),
    "weight_used_last_60s": ("weight", "used_last_60s"),
    "rotation_oldest_seconds": ("tracking", "rotation_seconds", "oldest"),
    "websocket_connections": ("websocket", "active_connections"),
}
LOCK = 0x686C636F  # of PostgreSQL: one watch at a time


def watch(now: datetime | None = None) -> dict[str, Any]:
    """Take a sample, record the alerts, and return the numbers; one process at a time.

    Returns nothing where another process is at it. `now` is the database's, unless given.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
            if cursor.fetchone() != (True,):
                return {}
        now = now or database_now()
        counters = _count(now)
        sample = StatSample.objects.create(
            sampled_at=now, values={"counters": sampling.encode(counters)}
        )
        content = stats.read(now)
        sample.values["numbers"] = charted(content)
        sample.save()
        record(content["alerts"], now)
    return content


def watch_if_late() -> None:
    """Watch where the workers have not for a while."""
    recent = database_now() - timedelta(seconds=LATE_SECONDS)
    if not StatSample.objects.filter(sampled_at__gt=recent).exists():
        watch()


def _count(now: datetime) -> sampling.Counters:
    sockets = {row.name: (row.trades, row.reconnects) for row in coverage.alive()}
    weight = newest("weight").get("weight")
    refused = None if weight is None else weight.values.get("http_429_total")
    return sampling.advance(stats.newest_counters(), at=now, sockets=sockets, http_429=refused)


def charted(content: dict[str, Any]) -> dict[str, Any]:
    """Return what the overview draws over the last hour."""
    return {
        name: functools.reduce(operator.getitem, path, content) for name, path in CHARTED.items()
    }


def record(raised: list[dict[str, Any]], now: datetime) -> None:
    """Open what has risen and clear what no longer holds; log each once."""
    opened = {alert.code: alert for alert in Alert.objects.filter(cleared_at=None)}
    for alert in raised:
        code, detail = alert["code"], alert["detail"]
        if code not in opened:
            Alert.objects.create(code=code, since=alert["since"], detail=detail)
            logger.warning("alert=%s state=raised detail=%r", code, detail)
        elif opened[code].detail != detail:
            Alert.objects.filter(pk=opened[code].pk).update(detail=detail)
    for code in opened.keys() - {alert["code"] for alert in raised}:
        Alert.objects.filter(pk=opened[code].pk).update(cleared_at=now)
        seconds = (now - opened[code].since).total_seconds()
        logger.warning("alert=%s state=cleared after_seconds=%.0f", code, seconds)
