"""The event log as the hub reads it: one connection, in pages, encoded once."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from django.db import connections
from psycopg.rows import tuple_row

from hlcopy.clock import utc_now
from traders.published import COLUMNS, publish
from web import push
from web.filters import Entry

ANSWER_WITHIN_SECONDS = 5
# The epoch changes when the log begins anew (uuid), is restored elsewhere (system identifier)
# or fails over (timeline: the first 8 digits of a WAL file's name).
STATE = """
SELECT md5(concat_ws('/', head.epoch, (SELECT system_identifier FROM pg_control_system()),
                     left(pg_walfile_name(pg_current_wal_lsn()), 8))),
       head.head,
       coalesce((SELECT min(id) FROM traders_positionevent), head.head + 1)
FROM traders_eventhead head
"""
AFTER = f"""
SELECT {", ".join(COLUMNS)} FROM traders_positionevent WHERE id > %s ORDER BY id LIMIT %s
"""  # noqa: S608 (a constant list of columns)


class LogAwayError(Exception):
    """PostgreSQL does not answer, or its tables are missing."""


class HoleError(Exception):
    """The log no longer holds the event that was asked for."""


async def connect() -> psycopg.AsyncConnection[Any]:
    """Open a connection of our own to Django's database, autocommit, with short time-outs.

    Django's own connections would cost two changes of thread and a health check for each read.
    """
    wanted = connections["default"].get_connection_params()
    for django_only in ("cursor_factory", "context", "prepare_threshold"):
        wanted.pop(django_only, None)
    wanted["application_name"] = "hlcopy hub"
    wanted["options"] = "-c statement_timeout=3000 -c timezone=UTC"
    return await psycopg.AsyncConnection.connect(**wanted, autocommit=True)


class EventLog:
    """Reads the log over one connection, opened when first needed and again after a failure."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def state(self) -> push.LogState:
        """Return epoch, head and oldest event; raises LogAwayError."""
        rows = await self._read(STATE, ())
        if not rows:
            raise LogAwayError("the log has no head")
        return push.LogState(*rows[0])

    async def entries_after(self, cursor: int, limit: int) -> list[Entry]:
        """Return the events cursor + 1, cursor + 2 and so on, at most `limit`.

        Raises LogAwayError, and HoleError where event cursor + 1 is gone.
        """
        rows = await self._read(AFTER, (cursor, limit))
        if rows and rows[0][0] != cursor + 1:
            raise HoleError(f"event {cursor + 1} is gone")
        now = utc_now()
        return [push.entry(publish(row), now) for row in rows]

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _read(self, query: str, values: tuple[int, ...]) -> list[tuple[Any, ...]]:
        async with self._one_at_a_time:
            try:
                async with asyncio.timeout(ANSWER_WITHIN_SECONDS):
                    if self._connection is None:
                        self._connection = await connect()
                    async with self._connection.cursor(row_factory=tuple_row) as cursor:
                        await cursor.execute(query.encode(), values)
                        return await cursor.fetchall()
            except (psycopg.Error, OSError) as failure:  # TimeoutError is an OSError
                await self.close()
                raise LogAwayError(f"{type(failure).__name__}: {failure}") from failure
