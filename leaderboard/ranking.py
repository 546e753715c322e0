"""Ranks all traders at once, in SQL, and publishes the boards of all windows in one transaction.

Each board is a new table, filled, indexed and then attached as a partition: readers wait for
nothing and see the old boards or the new ones. A board that was read a moment ago stays for one
more publication, so that whoever has begun to read it can finish.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper

from leaderboard.metrics import METRICS, WINDOWS
from leaderboard.models import Board
from leaderboard.scoring import ALL_EQUAL, INVERTED, shares, weights_hash

logger = logging.getLogger(__name__)
#: An id is generation * 2^32 + rank.
RANK_BITS = 32
KEPT = 2  # boards of each preset and window: the one shown, and the one before
# Days in order: the peak before each day, or where its first return began. Within a day only what
# is certain counts: the lowest point against earlier peaks, the close against the day's own peak.
# A row that many days were folded into brings the drawdown within them.
TALLY = """
CREATE TEMPORARY TABLE tally ON COMMIT DROP AS
WITH day AS (
    SELECT *, coalesce(max(nav_max) OVER earlier, nav_open) AS peak,
           equity_close - coalesce(lag(equity_close) OVER in_order, equity_open) - net_flow
               AS equity_change
      FROM traders_traderday
     WHERE %(first_day)s::date IS NULL OR day >= %(first_day)s
    WINDOW in_order AS (PARTITION BY trader_id ORDER BY day),
           earlier AS (in_order ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
), sums AS (
    SELECT trader_id, sum(volume_usd) AS volume_usd, sum(events) AS events,
           sum(snapshots) AS snapshots, sum(closed) AS closed, sum(wins) AS wins,
           sum(losses) AS losses, sum(gross_profit)::float8 AS profit,
           sum(gross_loss)::float8 AS loss, sum(realised_gross) AS realised_gross,
           sum(fees) AS fees, sum(equity_change) AS equity_change,
           count(equity_change) AS days_told, count(*) AS days,
           max(greatest(1 - least(nav_min / nullif(greatest(peak, nav_open), 0),
                                  nav_close / nullif(greatest(peak, nav_max), 0)),
                        drawdown)) AS drawdown
      FROM day GROUP BY trader_id
), trips AS (
    SELECT trader_id, max(net_pnl) AS best_trip, min(net_pnl) AS worst_trip
      FROM traders_roundtrip
     WHERE complete AND (%(first_ms)s::bigint IS NULL OR closed_at_ms >= %(first_ms)s)
     GROUP BY trader_id
)
SELECT trader_id, {metrics}
  FROM (SELECT sums.*, best_trip, worst_trip,
               greatest(0, extract(epoch FROM %(now)s - first_seen_at)::float8 / 86400) AS age_days
          FROM sums
          JOIN traders_trader trader ON trader.id = sums.trader_id
               AND trader.last_tracked_at IS NOT NULL AND trader.quarantined_at IS NULL
          LEFT JOIN trips ON trips.trader_id = sums.trader_id) AS trader
"""
# Ties: who traded more, then who was seen first.
RANK = """
CREATE TABLE {table} AS
SELECT (%(generation)s::bigint << {bits}) + rank AS id, %(generation)s::bigint AS generation,
       trader_id, rank, trader_score, {metrics}
  FROM (SELECT *, row_number() OVER (
               ORDER BY trader_score DESC, total_volume_usd DESC NULLS LAST, trader_id)::int AS rank
          FROM (SELECT *, floor(({score}) * 10000 + 0.5) / 10000 AS trader_score
                  FROM tally) AS scored) AS ranked
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

Parameters = dict[str, Any]


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
        cursor.execute("SET LOCAL work_mem = '128MB'")
        boards = {}
        for window in windows:
            board = Board(
                preset=preset,
                window=window,
                weights=dict(weights),
                weights_hash=weights_hash(weights),
                updated_at=now,
            )
            _add_up(cursor, window, now)
            _rank(cursor, board)
            boards[window] = board
        return boards


def _add_up(cursor: CursorWrapper, window: str, now: datetime) -> None:
    """Compute every metric of everyone who was seen in the window."""
    days = WINDOWS[window]
    since = None if days is None else now - timedelta(days=days)
    metrics = ", ".join(f"{metric.sql} AS {name}" for name, metric in METRICS.items())
    cursor.execute(
        TALLY.format(metrics=metrics),
        {
            "now": now,
            "first_day": since and since.date(),
            "first_ms": since and int(since.timestamp() * 1000),
        },
    )


def _rank(cursor: CursorWrapper, board: Board) -> None:
    """Fill the board's partition and attach it."""
    board.bounds = _bounds(cursor, board.weights)
    board.save()
    score, parameters = _score(board.bounds, board.weights)
    table = partition(board.pk)
    cursor.execute(
        RANK.format(table=table, bits=RANK_BITS, metrics=", ".join(METRICS), score=score),
        {"generation": board.pk, **parameters},
    )
    board.traders = cursor.rowcount
    board.save(update_fields=["traders"])
    cursor.execute("DROP TABLE tally")
    cursor.execute(f"CREATE UNIQUE INDEX ON {table} (id)")
    cursor.execute(f"CREATE UNIQUE INDEX ON {table} (trader_id)")
    cursor.execute(
        f"ALTER TABLE leaderboard_metric ATTACH PARTITION {table} FOR VALUES IN ({board.pk})"
    )


def partition(generation: int) -> str:
    """Return the name of a board's table."""
    return f"leaderboard_metric_{generation}"


def _bounds(cursor: CursorWrapper, weights: Mapping[str, float]) -> dict[str, Any]:
    """Return the smallest and largest known value of each weighted metric, None if none is."""
    names = list(shares(weights))
    columns = ", ".join(f"min({name})::float8, max({name})::float8" for name in names)
    cursor.execute(f"SELECT {columns} FROM tally")  # noqa: S608 (names of the catalogue)
    values = cursor.fetchone()
    pairs = zip(values[::2], values[1::2], strict=True)
    return {
        name: None if low is None else [low, high]
        for name, (low, high) in zip(names, pairs, strict=True)
    }


def _score(bounds: Mapping[str, Any], weights: Mapping[str, float]) -> tuple[str, Parameters]:
    """Return `scoring.score` as SQL over the tally, with its parameters."""
    terms: list[str] = []
    parameters: Parameters = {}
    for name, weight in shares(weights).items():
        if bounds[name] is None:
            continue
        low, high = bounds[name]
        parameters |= {f"{name}_weight": weight, f"{name}_low": low, f"{name}_high": high}
        value = f"{name}::float8"
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
