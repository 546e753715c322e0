"""Ranks all traders at once, in SQL, and publishes the boards of all windows in one transaction.

Each board is a new table, filled, indexed and then attached as a partition: readers wait for
nothing and see the old boards or the new ones. A board that was read a moment ago stays for one
more publication, so that whoever has begun to read it can finish.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

from leaderboard import tally
from leaderboard.metrics import METRICS, WINDOWS
from leaderboard.models import Board
from leaderboard.scoring import ALL_EQUAL, INVERTED, shares, weights_hash
from traders.coverage import carried_days
from traders.models import TraderDay

logger = logging.getLogger(__name__)
#: An id is generation * 2^32 + rank.
RANK_BITS = 32
# Rows are read as they lie and sorted: a million traders' days in the order of the index took four
# times as long. In memory where possible; fewer traders take less.
PLAN = """
SET LOCAL work_mem = '256MB';
SET LOCAL enable_indexscan = off;
SET LOCAL enable_incremental_sort = off
"""
KEPT = 2  # boards of each preset and window: the one shown, and the one before
# Ties: who traded more, then who was seen first.
RANK = """
CREATE TABLE {table} AS
SELECT (%(generation)s::bigint << {bits}) + rank AS id, %(generation)s::bigint AS generation,
       trader_id, rank, trader_score, {metrics}
  FROM (SELECT *, row_number() OVER (
               ORDER BY trader_score DESC, total_volume_usd DESC NULLS LAST, trader_id)::int AS rank
          FROM (SELECT *, floor(({score}) * 10000 + 0.5) / 10000 AS trader_score
                  FROM {seen}) AS scored) AS ranked
"""
# In one statement, so that boards which are published meanwhile are in both or in neither.
UNUSED = """
SELECT child.relname
  FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
 WHERE inhparent = 'leaderboard_metric'::regclass
   AND substring(child.relname FROM '[0-9]+$')::bigint NOT IN (
       SELECT id FROM (SELECT id, row_number() OVER (
                              PARTITION BY preset, "window" ORDER BY id DESC) AS age
                         FROM leaderboard_board) AS board
        WHERE age <= %s)
"""


def publish(
    now: datetime,
    preset: str,
    weights: Mapping[str, float],
    *,
    windows: Collection[str] = tuple(WINDOWS),
) -> dict[str, Board]:
    """Rank who was watched, for every window, and make these boards the ones that are shown.

    Ranked in a window is whose account the exchange has told at least once and who was seen in the
    window; not who is in quarantine, whose numbers stand still.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # One publication at a time; whoever waits publishes what is newest then.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('leaderboard'))")
        cursor.execute(PLAN)
        tally.add_up(cursor, windows, now)
        boards = {}
        for window in windows:
            board = Board(
                preset=preset,
                window=window,
                weights=dict(weights),
                weights_hash=weights_hash(weights),
                updated_at=now,
            )
            first_day = tally.first_day(window, now)
            carried = carried_days(first_day, now.astimezone(UTC).date())
            board.feed_days = {day.isoformat(): seconds for day, seconds in carried.items()}
            _rank(cursor, board, tally.first_days([window], now))
            boards[window] = board
        cursor.execute("DROP TABLE leaderboard_tally")
        return boards


def anyone() -> bool:
    """Return whether there is a board already, or somebody who can be ranked on a first one."""
    return (
        Board.objects.exists()
        or TraderDay.objects.filter(
            trader__last_tracked_at__isnull=False, trader__quarantined_at=None
        ).exists()
    )


def _rank(cursor: CursorWrapper, board: Board, first_day: tally.Parameters) -> None:
    """Fill the board's partition and attach it."""
    seen = tally.seen(board.window)
    board.bounds = _bounds(cursor, board.weights, seen, first_day)
    board.save()
    score, parameters = _score(board.bounds, board.weights)
    table = partition(board.pk)
    cursor.execute(
        RANK.format(
            table=table, bits=RANK_BITS, metrics=", ".join(METRICS), score=score, seen=seen
        ),
        {"generation": board.pk, **first_day, **parameters},
    )
    board.traders = cursor.rowcount
    board.save(update_fields=["traders"])
    cursor.execute(f"CREATE UNIQUE INDEX ON {table} (id)")
    cursor.execute(f"CREATE UNIQUE INDEX ON {table} (trader_id)")
    cursor.execute(
        f"ALTER TABLE leaderboard_metric ATTACH PARTITION {table} FOR VALUES IN ({board.pk})"
    )


def partition(generation: int) -> str:
    """Return the name of a board's table."""
    return f"leaderboard_metric_{generation}"


def _bounds(
    cursor: CursorWrapper, weights: Mapping[str, float], seen: str, first_day: tally.Parameters
) -> dict[str, Any]:
    """Return the smallest and largest known value of each weighted metric, None if none is."""
    names = list(shares(weights))
    columns = ", ".join(f"min({name}), max({name})" for name in names)
    cursor.execute(f"SELECT {columns} FROM {seen}", first_day)  # noqa: S608 (names of the catalogue)
    values = cursor.fetchone()
    pairs = zip(values[::2], values[1::2], strict=True)
    return {
        name: None if low is None else [low, high]
        for name, (low, high) in zip(names, pairs, strict=True)
    }


def _score(bounds: Mapping[str, Any], weights: Mapping[str, float]) -> tuple[str, tally.Parameters]:
    """Return `scoring.score` as SQL over the tally, with its parameters."""
    terms: list[str] = []
    parameters: tally.Parameters = {}
    for name, weight in shares(weights).items():
        if bounds[name] is None:
            continue
        low, high = bounds[name]
        parameters |= {f"{name}_weight": weight, f"{name}_low": low, f"{name}_high": high}
        value = name
        low_sql, high_sql = f"%({name}_low)s::float8", f"%({name}_high)s::float8"
        if low == high:
            normalised = f"CASE WHEN {name} IS NOT NULL THEN {ALL_EQUAL}::float8 END"
        elif name in INVERTED:
            normalised = f"({high_sql} - {value}) / ({high_sql} - {low_sql})"
        else:
            normalised = f"({value} - {low_sql}) / ({high_sql} - {low_sql})"
        terms.append(f"coalesce(%({name}_weight)s::float8 * ({normalised}), 0)")
    return " + ".join(terms) or "0::float8", parameters


def remove_unused() -> int:
    """Drop the boards' tables that nobody is shown any more; return how many went.

    Waits half a second at most for who reads one; what stays goes after the next publication.
    """
    with connection.cursor() as cursor:
        cursor.execute(UNUSED, [KEPT])
        tables = [name for (name,) in cursor.fetchall()]
        try:
            with transaction.atomic():
                cursor.execute("SET LOCAL lock_timeout = '500ms'")
                for table in tables:
                    cursor.execute(f"DROP TABLE IF EXISTS {table}")
                numbers = [int(table.rpartition("_")[2]) for table in tables]
                Board.objects.filter(pk__in=numbers).delete()
        except OperationalError as refused:
            logger.info("boards stay until the next publication: %s", refused)
            return 0
    return len(tables)
