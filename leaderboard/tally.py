"""What every trader did in each window, added up in one pass over all days.

A trader's days are added up from the newest to the oldest: the sums at a day are those of every
window that begins between the day before it and itself. A row of the tally is such a day with all
its metrics; who did nothing else in a longer window has one row for both.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db.backends.utils import CursorWrapper

from leaderboard.metrics import METRICS, WINDOWS
from traders.drawdown import FALL, LATER

# Not temporary, so that parallel workers read it; it goes with the transaction that made it.
# Between two days an account earns the difference of its last close and its next opening. The best
# and the worst trip are of each window to the millisecond, and so no sums of days.
TALLY = """
CREATE UNLOGGED TABLE leaderboard_tally AS
WITH day AS (
    SELECT *, {fall} AS fall, equity_close - equity_open - net_flow AS earned,
           lag(equity_open) OVER later - equity_close AS earned_after
      FROM traders_traderday
     WHERE %(first_day)s::date IS NULL OR day >= %(first_day)s
    WINDOW later AS {later}
), sums AS (
    SELECT trader_id, day, lead(day) OVER since AS day_before, count(*) OVER since AS days,
           sum(volume_usd) OVER since AS volume_usd, sum(events) OVER since AS events,
           sum(snapshots) OVER since AS snapshots, sum(closed) OVER since AS closed,
           sum(wins) OVER since AS wins, sum(losses) OVER since AS losses,
           (sum(gross_profit) OVER since)::float8 AS profit,
           (sum(gross_loss) OVER since)::float8 AS loss,
           sum(realised_gross) OVER since AS realised_gross, sum(fees) OVER since AS fees,
           sum(earned) OVER since + coalesce(sum(earned_after) OVER since, 0) AS equity_change,
           count(earned) OVER since AS days_told, max(fall) OVER since AS drawdown
      FROM day
    WINDOW since AS (PARTITION BY trader_id ORDER BY day DESC ROWS UNBOUNDED PRECEDING)
), trips AS (
    SELECT trader_id, {of_trips}
      FROM traders_roundtrip
     WHERE complete AND (%(first_ms)s::bigint IS NULL OR closed_at_ms >= %(first_ms)s)
     GROUP BY trader_id
), told AS (
    SELECT sums.*,
           greatest(0, extract(epoch FROM %(now)s - first_seen_at)::float8 / 86400) AS age_days
      FROM sums
      JOIN traders_trader trader ON trader.id = sums.trader_id
           AND trader.last_tracked_at IS NOT NULL AND trader.quarantined_at IS NULL
     WHERE {ends}
)
SELECT trader_id, day, day_before, {of_days}, {trips}
  FROM told LEFT JOIN trips USING (trader_id)
"""
OF_DAYS = {name: metric.sql for name, metric in METRICS.items() if not metric.of_trips}
OF_TRIPS = {name: metric.sql for name, metric in METRICS.items() if metric.of_trips}

Parameters = dict[str, Any]


def add_up(cursor: CursorWrapper, windows: Collection[str], now: datetime) -> None:
    """Compute every metric of everyone who was seen, for all of these windows."""
    since = {window: begins(window, now) for window in windows}
    known = [at for at in since.values() if at is not None]
    first = min(known) if len(known) == len(since) else None
    closed = "(%(first_ms_{0})s::bigint IS NULL OR closed_at_ms >= %(first_ms_{0})s)"
    statement = TALLY.format(
        fall=FALL,
        later=LATER,
        of_days=", ".join(f"{sql} AS {name}" for name, sql in OF_DAYS.items()),
        of_trips=", ".join(
            f"{sql} FILTER (WHERE {closed.format(window)}) AS {name}_{window}"
            for window in windows
            for name, sql in OF_TRIPS.items()
        ),
        trips=", ".join(f"{name}_{window}" for window in windows for name in OF_TRIPS),
        ends=" OR ".join(_is_oldest(window) for window in windows),
    )
    beginnings = {f"first_ms_{window}": at and _milliseconds(at) for window, at in since.items()}
    cursor.execute(
        statement,
        {
            "now": now,
            "first_day": first and first.date(),
            "first_ms": first and _milliseconds(first),
            **first_days(windows, now),
            **beginnings,
        },
    )


def seen(window: str) -> str:
    """Return the metrics of those who were seen in the window, as SQL with `first_days`."""
    trips = ", ".join(f"{name}_{window} AS {name}" for name in OF_TRIPS)
    return f"""(SELECT trader_id, {", ".join(OF_DAYS)}, {trips}
          FROM leaderboard_tally WHERE {_is_oldest(window)}) AS seen"""  # noqa: S608 (our names)


def first_days(windows: Collection[str], now: datetime) -> Parameters:
    """Return the first day of each window."""
    since = {window: begins(window, now) for window in windows}
    return {f"first_day_{window}": at and at.date() for window, at in since.items()}


def begins(window: str, now: datetime) -> datetime | None:
    """Return when the window begins; None: it has no beginning."""
    days = WINDOWS[window]
    return None if days is None else now - timedelta(days=days)


def _milliseconds(at: datetime) -> int:
    """Return the exchange's time of a moment."""
    return int(at.timestamp() * 1000)


def _is_oldest(window: str) -> str:
    """Return whether a row has the window's sums, as SQL: it is the oldest day in it."""
    first = f"%(first_day_{window})s::date"
    return f"(({first} IS NULL OR day >= {first}) AND (day_before IS NULL OR day_before < {first}))"
