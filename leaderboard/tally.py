"""What every trader did in each window, added up in one pass over all days.

A trader's days are added up from the newest to the oldest: the sums at a day are those of every
window that begins between the day before it and itself. A row of the tally is such a day with all
its metrics; who did nothing else in a longer window has one row for both.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.db.backends.utils import CursorWrapper

from leaderboard.metrics import METRICS, WINDOWS
from traders.drawdown import FALL, LATER

# The columns of a day that are added up, and how each is read: as a double, because to finish an
# exact sum at every row takes as long as all else. To read an exact number as a double takes a
# hundred times as long as to see that there is none.
ADDED = {
    "volume": "volume_usd::float8",
    "estimated_volume": "CASE WHEN estimated_events > 0 THEN estimated_volume_usd::float8 END",
    "taker_volume": "CASE WHEN fills > 0 THEN taker_volume_usd::float8 END",
    "unknown_volume": "CASE WHEN unknown_volume_usd <> 0 THEN unknown_volume_usd::float8 END",
    "wash_volume": "CASE WHEN wash_volume_usd <> 0 THEN wash_volume_usd::float8 END",
    "profit": "CASE WHEN wins > 0 THEN gross_profit::float8 END",
    "loss": "CASE WHEN losses > 0 THEN gross_loss::float8 END",
    "realised": "(realised_gross - fees)::float8",
    "net_flow": "CASE WHEN net_flow <> 0 THEN net_flow::float8 END",
    "held_ms": "held_ms::float8",
    "estimated": "estimated_events",
    **{name: name for name in ("fills", "events", "snapshots")},
    **{name: name for name in ("closed", "completed", "wins", "losses")},
}
READ = ADDED | {
    "best": "best_trip_pnl",
    "worst": "worst_trip_pnl",
    "equity_open": "equity_open",
    "equity_close": "equity_close",
    **{name: f"{name}::float8" for name in ("nav_open", "nav_close", "nav_min", "nav_max")},
    "drawdown": "drawdown::float8",
}
# Not temporary, so that parallel workers read it; it goes with the transaction that made it.
# What an account has earned is its newest value less its oldest, less deposits, where every day has
# told its value. OFFSET keeps the planner from reading a column anew wherever it is named.
TALLY = """
CREATE UNLOGGED TABLE leaderboard_tally AS
WITH day AS (
    SELECT trader_id, day, {read}
      FROM traders_traderday
     WHERE %(first_day)s::date IS NULL OR day >= %(first_day)s
    OFFSET 0
), falling AS (
    SELECT *, {fall} AS fall
      FROM day
    WINDOW later AS {later}
), sums AS (
    SELECT trader_id, day, lead(day) OVER since AS day_before, count(*) OVER since AS days,
           {sums},
           max(best) OVER since AS best, min(worst) OVER since AS worst,
           equity_open, first_value(equity_close) OVER since AS equity_close,
           count(equity_open) OVER since AS days_told, max(fall) OVER since AS drawdown
      FROM falling
    WINDOW since AS (PARTITION BY trader_id ORDER BY day DESC ROWS UNBOUNDED PRECEDING)
), told AS (
    SELECT sums.*,
           greatest(0, date_part('epoch', %(now)s - first_seen_at) / 86400) AS age_days
      FROM sums
      JOIN traders_trader trader ON trader.id = sums.trader_id
           AND trader.last_tracked_at IS NOT NULL AND trader.quarantined_at IS NULL
     WHERE {ends}
)
SELECT trader_id, day, day_before, {metrics}
  FROM told
"""

Parameters = dict[str, Any]


def add_up(cursor: CursorWrapper, windows: Collection[str], now: datetime) -> None:
    """Compute every metric of everyone who was seen, for all of these windows."""
    days = first_days(windows, now)
    first = None if None in days.values() else min(days.values())
    statement = TALLY.format(
        fall=FALL,
        later=LATER,
        read=", ".join(f"{sql} AS {name}" for name, sql in READ.items()),
        sums=", ".join(f"{_sum(sql, name)} AS {name}" for name, sql in ADDED.items()),
        metrics=", ".join(f"{metric.sql} AS {name}" for name, metric in METRICS.items()),
        ends=" OR ".join(_is_oldest(window) for window in windows),
    )
    cursor.execute(statement, {"now": now, "first_day": first, **days})


def seen(window: str) -> str:
    """Return the metrics of those who were seen in the window, as SQL with `first_days`."""
    return f"""(SELECT trader_id, {", ".join(METRICS)}
          FROM leaderboard_tally WHERE {_is_oldest(window)}) AS seen"""  # noqa: S608 (our names)


def first_days(windows: Collection[str], now: datetime) -> Parameters:
    """Return the first day of each window, as parameters."""
    return {f"first_day_{window}": first_day(window, now) for window in windows}


def first_day(window: str, now: datetime) -> date | None:
    """Return the UTC day on which the window begins; None: it has no beginning."""
    days = WINDOWS[window]
    return None if days is None else (now.astimezone(UTC) - timedelta(days=days)).date()


def _sum(sql: str, name: str) -> str:
    """Return the sum since a day, as SQL: 0 where no day has any."""
    added = f"sum({name}) OVER since"
    return f"coalesce({added}, 0)" if sql.startswith("CASE") else added


def _is_oldest(window: str) -> str:
    """Return whether a row has the window's sums, as SQL: it is the oldest day in it."""
    first = f"%(first_day_{window})s::date"
    return f"(({first} IS NULL OR day >= {first}) AND (day_before IS NULL OR day_before < {first}))"
