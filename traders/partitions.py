"""Tables that only grow, in partitions by ranges of ids: made ahead, dropped whole when old.

1. Partition n holds the ids from n * IDS_EACH up to the next one's, and is named `<table>_<n>`.
2. It is made as a table of its own with a CHECK, then attached: readers and writers of the parent
   go on meanwhile. `CREATE TABLE ... PARTITION OF` would stop them all.
3. Two are made ahead of the newest id. Should they be missing all the same, the writer makes its
   own (`make_room`): there can be no DEFAULT partition beside DETACH CONCURRENTLY.
4. It goes by DETACH CONCURRENTLY, then DROP, once its newest row is old; the next run finishes what
   a crash has left between these steps.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import OperationalError, connection, transaction
from psycopg import sql
from psycopg.errors import LockNotAvailable

logger = logging.getLogger(__name__)
#: Names and bounds of all partitions follow from it: it is never changed.
IDS_EACH = 1_000_000
AHEAD = 2
#: Writers wait 3 s for a lock: whatever is done here gives up before that.
LOCK_TIMEOUT = "2s"
# The partitions by number, those left over included; detached: no partition any more.
PARTITIONS = """
SELECT substring(part.relname FROM '[0-9]+$')::bigint AS number,
       parent.inhdetachpending, parent.inhrelid IS NULL AS detached
  FROM pg_class part
  LEFT JOIN pg_inherits parent ON parent.inhrelid = part.oid
 WHERE part.relkind = 'r' AND part.relname ~ ('^' || %s || '_[0-9]+$')
   AND part.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = %s::regclass)
 ORDER BY number
"""


@dataclass(frozen=True, slots=True)
class Log:
    """A table in partitions; `written_at` is a column that grows with the id."""

    table: str
    written_at: str
    newest_id: str  # SQL: the newest id that was given out
    ids_each: int = IDS_EACH


EVENTS = Log(
    "traders_positionevent",
    "created_at",
    "SELECT coalesce(max(head), 0) FROM traders_eventhead",
)
SNAPSHOTS = Log(
    "traders_accountsnapshot",
    "fetched_at",
    "SELECT last_value FROM traders_accountsnapshot_id_seq",
)


def make_ahead(log: Log) -> list[int]:
    """Make the partition of the newest id and the two behind it; return the numbers of new ones."""
    present = _present(log)
    numbers = range(present, present + AHEAD + 1)
    return [number for number in numbers if _make(log, number)]


def make_room(log: Log, first_id: int, last_id: int) -> None:
    """Make what is missing for these ids, in the transaction that is about to write them."""
    for number in range(first_id // log.ids_each, last_id // log.ids_each + 1):
        if _make(log, number):
            logger.warning("partition=%s_%d made by its writer: none ahead", log.table, number)


def drop_older_than(log: Log, moment: datetime) -> list[int]:
    """Drop the partitions whose newest row was written before; return their numbers.

    Never the one of the newest id, and none behind one that is kept, so that the log has no hole.
    Where a reader holds on to old rows for too long, the rest is left to the next run. Runs outside
    of transactions.
    """
    dropped = []
    with _short_locks():
        try:
            for number in _leftovers(log):
                _drop(log, number)
                dropped.append(number)
            for number in _attached(log):
                newest = _newest(log, number)
                if number >= _present(log) or (newest is not None and newest >= moment):
                    break
                if newest is not None:
                    _execute("ALTER TABLE {log} DETACH PARTITION {part} CONCURRENTLY", log, number)
                    _drop(log, number)
                    dropped.append(number)
        except OperationalError as failure:
            if not isinstance(failure.__cause__, LockNotAvailable):
                raise
            logger.warning("table=%s dropping waits: %s", log.table, failure)
    return dropped


def _make(log: Log, number: int) -> bool:
    """Make and attach a partition; False where it exists."""
    if _exists(log, number):
        return False
    first, behind = number * log.ids_each, (number + 1) * log.ids_each
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        # One maker at a time; nobody who reads or writes rows is in its way.
        _execute("LOCK TABLE {log} IN SHARE UPDATE EXCLUSIVE MODE", log)
        if _exists(log, number):
            return False
        bounds = {"first": sql.Literal(first), "behind": sql.Literal(behind)}
        _execute(
            "CREATE TABLE {part} (LIKE {log} INCLUDING ALL,"
            " CHECK (id >= {first} AND id < {behind}))",
            *(log, number, bounds),
        )
        _execute(
            "ALTER TABLE {log} ATTACH PARTITION {part} FOR VALUES FROM ({first}) TO ({behind})",
            *(log, number, bounds),
        )
    return True


def _leftovers(log: Log) -> Iterator[int]:
    """Yield what was detached and not dropped, having finished a detachment that was cut off."""
    for number, pending, detached in _rows(PARTITIONS, [log.table, log.table]):
        if pending:
            _execute("ALTER TABLE {log} DETACH PARTITION {part} FINALIZE", log, number)
        if pending or detached:
            yield number


def _attached(log: Log) -> list[int]:
    rows = _rows(PARTITIONS, [log.table, log.table])
    return [number for number, _, detached in rows if not detached]


def _present(log: Log) -> int:
    """Return the number of the partition in which the newest id lies."""
    ((newest,),) = _rows(log.newest_id)
    return int(newest) // log.ids_each


def _newest(log: Log, number: int) -> datetime | None:
    """Return when the partition's newest row was written, None where it is empty."""
    query = sql.SQL("SELECT {} FROM {} ORDER BY id DESC LIMIT 1").format(
        sql.Identifier(log.written_at), _name(log, number)
    )
    return next((written_at for (written_at,) in _rows(query)), None)


def _exists(log: Log, number: int) -> bool:
    ((exists,),) = _rows("SELECT to_regclass(%s) IS NOT NULL", [f"{log.table}_{number}"])
    return bool(exists)


def _drop(log: Log, number: int) -> None:
    _execute("DROP TABLE {part}", log, number)
    logger.info("partition=%s_%d dropped", log.table, number)


def _name(log: Log, number: int) -> sql.Identifier:
    return sql.Identifier(f"{log.table}_{number}")


def _execute(
    statement: str, log: Log, number: int = 0, bounds: Mapping[str, sql.Literal] | None = None
) -> None:
    """Run a statement about the table {log} and its partition {part}."""
    names = {"log": sql.Identifier(log.table), "part": _name(log, number)}
    composed = sql.SQL(statement).format(**names, **bounds or {})
    with connection.cursor() as cursor:
        cursor.execute(composed)


def _rows(query: str | sql.Composed, values: list[str] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())


@contextmanager
def _short_locks() -> Iterator[None]:
    """Let this connection wait no longer for a lock than LOCK_TIMEOUT."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", [LOCK_TIMEOUT])
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
