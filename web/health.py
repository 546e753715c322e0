"""Is it alive, is it ready: asked often, so it must be cheap and must never hang."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from typing import Any

import psycopg
import redis.asyncio
from django.conf import settings
from django.db.migrations.loader import MigrationLoader
from psycopg.rows import dict_row

from hlcopy.clock import utc_now
from web.log import connect

ANSWER_WITHIN_SECONDS = 2
REMEMBER_SECONDS = 1.0  # however many pages ask
TRACKING_JOB = "track_traders"
FEED = """
WITH sockets AS (
    SELECT *, connected AND seen_at > now() - interval '5 seconds' AS live FROM traders_feedsocket),
carried AS (SELECT DISTINCT unnest(coins) AS coin FROM sockets WHERE live)
SELECT coalesce(bool_or(live), false) AS connected,
       coalesce(min(since_at) FILTER (WHERE live),
                max(CASE WHEN connected THEN seen_at ELSE since_at END)) AS since,
       count(*) FILTER (WHERE live) AS sockets,
       (array_agg(last_error ORDER BY seen_at DESC) FILTER (WHERE last_error <> ''))[1]
           AS last_error,
       extract(epoch FROM now()) - max(newest_block_ms) / 1000.0 AS last_block_age_seconds,
       (SELECT count(*) FROM carried) AS coins,
       (SELECT count(*) FROM traders_feedcursor AS followed
         WHERE NOT EXISTS (SELECT FROM carried WHERE carried.coin = followed.coin)
           AND NOT EXISTS (SELECT FROM traders_coin AS listed
                            WHERE listed.name = followed.coin AND listed.is_delisted)) AS open_gaps
  FROM sockets
"""
TRACKING = """
SELECT (SELECT max(finished_at) FROM hlcopy_jobrun WHERE job = %s AND state = 'done')
           AS last_pass_at,
       (SELECT max(last_tracked_at) FROM traders_trader WHERE quarantined_at IS NULL)
           AS last_tracked_at
"""
MIGRATIONS = "SELECT app, name FROM django_migrations"


class Readiness:
    """What a load balancer, an operator and the page's status bar want to know."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._answer: tuple[int, dict[str, Any]] = (503, {})
        self._known_until = 0.0
        self._looking: asyncio.Task[tuple[int, dict[str, Any]]] | None = None

    async def answer(self) -> tuple[int, dict[str, Any]]:
        """Return status and JSON, at most a second old; all who ask at once share one look."""
        if time.monotonic() >= self._known_until:
            if self._looking is None:
                self._looking = asyncio.create_task(look())
            try:
                self._answer = await asyncio.shield(self._looking)
            finally:
                self._looking = None
            self._known_until = time.monotonic() + REMEMBER_SECONDS
        return self._answer


async def look() -> tuple[int, dict[str, Any]]:
    """Ask PostgreSQL and Redis at the same time: 503 without the first, degraded without Redis."""
    database, redis_answers = await asyncio.gather(look_at_database(), redis_is_there())
    reasons = list(database.pop("reasons"))
    ready = not reasons
    feed = database.get("feed")
    if not redis_answers:
        reasons.append("Redis does not answer: events arrive up to a second later, no job is run")
    if feed is not None and not feed["connected"]:
        reasons.append("the exchange's feed is not connected")
    status = "unavailable" if not ready else "degraded" if reasons else "ready"
    content = {
        "status": status,
        "reasons": reasons,
        "time": utc_now(),
        "simulated": settings.CONFIGURATION.hlcopy_demo,
        "database": {"connected": database["connected"], "migrated": database["migrated"]},
        "redis": {"connected": redis_answers},
        "feed": feed,
        "tracking": database.get("tracking"),
    }
    return (200 if ready else 503), content


async def look_at_database() -> dict[str, Any]:
    """Return what the database tells, and the reasons why it is not ready."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
            connection = await connect()
            try:
                return await _read(connection)
            finally:
                await connection.close()
    except (psycopg.Error, OSError) as failure:  # TimeoutError is an OSError
        reason = f"PostgreSQL does not answer ({type(failure).__name__})"
        return {"connected": False, "migrated": None, "reasons": [reason]}


async def _read(connection: psycopg.AsyncConnection[Any]) -> dict[str, Any]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        missing = await _missing_migrations(cursor)
        if missing:
            reason = f"{missing} migrations are missing: run `manage.py migrate`"
            return {"connected": True, "migrated": False, "reasons": [reason]}
        feed = await (await cursor.execute(FEED)).fetchone() or {}
        if (age := feed.get("last_block_age_seconds")) is not None:
            feed["last_block_age_seconds"] = round(float(age), 3)
        tracking = await (await cursor.execute(TRACKING, [TRACKING_JOB])).fetchone()
    return {
        "connected": True,
        "migrated": True,
        "reasons": [],
        "feed": feed,
        "tracking": tracking,
    }


async def _missing_migrations(cursor: psycopg.AsyncCursor[dict[str, Any]]) -> int:
    try:
        rows = await (await cursor.execute(MIGRATIONS)).fetchall()
    except psycopg.errors.UndefinedTable:
        rows = []
    return len(_migrations() - {(row["app"], row["name"]) for row in rows})


@cache
def _migrations() -> frozenset[tuple[str, str]]:
    """Return the migrations of this code, read from disk once."""
    return frozenset(MigrationLoader(None).disk_migrations or ())


async def redis_is_there() -> bool:
    """Return whether Redis answers within a second."""
    client = redis.asyncio.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1
    )
    try:
        return bool(await client.ping())
    except (redis.RedisError, OSError):
        return False
    finally:
        await client.aclose()
