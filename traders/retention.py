"""What is let go of, and when: old events and snapshots go, old days are folded into one row.

Round trips stay. All of it runs beside the writers: partitions as `traders.partitions` says, days
in short transactions that lock a trader's rows in the order in which the writers do.
"""

from __future__ import annotations

import logging
from datetime import date, datetime, timedelta

from django.db import Error, connection, transaction

from traders import partitions
from traders.days import SUMS
from traders.drawdown import FALL, LATER
from traders.partitions import EVENTS, LOCK_TIMEOUT, SNAPSHOTS

logger = logging.getLogger(__name__)
#: The longest window of the leaderboard: days within it are never folded.
DAYS_KEPT = 90
TRADERS_AT_ONCE = 500
# The next traders with more than one old row, through the index of (trader, day).
NEXT_TRADERS = """
SELECT trader_id FROM traders_traderday
 WHERE trader_id > %s AND day < %s
 GROUP BY trader_id HAVING count(*) > 1
 ORDER BY trader_id LIMIT %s
"""
# Into the newest of the old rows. What cannot be added up is the drawdown within these days, which
# the folded row keeps. Where the equity of one day is unknown, so is what was earned in all of
# them: then the row has none to begin with.
FOLD = f"""
WITH old AS MATERIALIZED (
    SELECT * FROM traders_traderday WHERE trader_id = ANY(%s) AND day < %s
     ORDER BY trader_id, day FOR UPDATE
), falling AS (
    SELECT *, {FALL} AS fall, equity_close - equity_open IS NOT NULL AS told
      FROM old
    WINDOW later AS {LATER}
), sums AS (
    SELECT trader_id, max(day) AS day, least(min(folded_since), min(day)) AS folded_since,
           {", ".join(f"sum({name}) AS {name}" for name in SUMS)},
           CASE WHEN bool_and(told) THEN (array_agg(equity_open ORDER BY day))[1] END
               AS equity_open,
           (array_agg(equity_close ORDER BY day DESC) FILTER (WHERE equity_close IS NOT NULL))[1]
               AS equity_close,
           min(equity_min) AS equity_min, max(equity_max) AS equity_max,
           (array_agg(nav_open ORDER BY day) FILTER (WHERE nav_open IS NOT NULL))[1] AS nav_open,
           (array_agg(nav_close ORDER BY day DESC) FILTER (WHERE nav_close IS NOT NULL))[1]
               AS nav_close,
           min(nav_min) AS nav_min, max(nav_max) AS nav_max,
           max(best_trip_pnl) AS best_trip_pnl, min(worst_trip_pnl) AS worst_trip_pnl,
           max(fall) AS drawdown
      FROM falling GROUP BY trader_id
), gone AS (
    DELETE FROM traders_traderday AS day USING old JOIN sums USING (trader_id)
     WHERE day.id = old.id AND old.day < sums.day
    RETURNING day.id
), folded AS (
    UPDATE traders_traderday AS day
       SET folded_since = sums.folded_since, drawdown = sums.drawdown,
           {", ".join(f"{name} = sums.{name}" for name in SUMS)},
           equity_open = sums.equity_open, equity_close = sums.equity_close,
           equity_min = sums.equity_min, equity_max = sums.equity_max,
           nav_open = sums.nav_open, nav_close = sums.nav_close,
           nav_min = sums.nav_min, nav_max = sums.nav_max,
           best_trip_pnl = sums.best_trip_pnl, worst_trip_pnl = sums.worst_trip_pnl
      FROM sums WHERE day.trader_id = sums.trader_id AND day.day = sums.day
)
SELECT count(*) FROM gone
"""  # noqa: S608 (the names of our own columns)


def make_room() -> None:
    """Let a pass find a partition for its snapshots, also where no other job has made one."""
    try:
        partitions.make_ahead(SNAPSHOTS)
    except Error as failure:
        # There may be room yet; the pass says what else is wrong.
        logger.warning("table=%s no partition made: %s", SNAPSHOTS.table, failure)


def drop_old(now: datetime, *, event_days: int, snapshot_days: int) -> dict[str, object]:
    """Make the partitions that come next, and drop those older than these days."""
    return {
        "partitions_made": sum(len(partitions.make_ahead(log)) for log in (EVENTS, SNAPSHOTS)),
        "events_dropped": len(partitions.drop_older_than(EVENTS, now - timedelta(days=event_days))),
        "snapshots_dropped": len(
            partitions.drop_older_than(SNAPSHOTS, now - timedelta(days=snapshot_days))
        ),
    }


def fold_days(today: date) -> int:
    """Make one row of each trader's rows older than 90 days; return how many rows that saved.

    It has the date of the newest of them, and all of their sums and extremes.
    """
    before = today - timedelta(days=DAYS_KEPT)
    saved = behind = 0
    while traders := _next_traders(behind, before):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
            cursor.execute(FOLD.format(fall=FALL, later=LATER), [traders, before])
            saved += cursor.fetchone()[0]
        behind = traders[-1]
    return saved


def _next_traders(behind: int, before: date) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(NEXT_TRADERS, [behind, before, TRADERS_AT_ONCE])
        return [trader_id for (trader_id,) in cursor.fetchall()]
