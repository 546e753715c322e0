"""What the workers measure for `/api/v1/stats`, because requests may not: it takes too long."""

from __future__ import annotations

from typing import Any

from django.db import connection

# A trader waits since it was tracked, or seen first; in seconds.
TURNS = """
SELECT count(*) AS traders,
       count(*) FILTER (WHERE first_seen_at > now() - interval '1 minute') AS new_per_minute,
       coalesce(sum(cardinality(dexes)) FILTER (WHERE in_turn), 0)::int8 AS accounts,
       extract(epoch FROM now() - min(coalesce(last_tracked_at, first_seen_at))
           FILTER (WHERE in_turn))::float8 AS oldest
  FROM (SELECT *, quarantined_at IS NULL AND retry_at IS NULL AS in_turn
          FROM traders_trader) AS trader
"""
PERCENTILES = """
SELECT percentile_disc(array[0.5, 0.95]) WITHIN GROUP (
           ORDER BY extract(epoch FROM now() - last_tracked_at)::float8)
  FROM traders_trader TABLESAMPLE SYSTEM (%s)
 WHERE quarantined_at IS NULL AND retry_at IS NULL AND last_tracked_at IS NOT NULL
"""
#: Sorting more than so many traders for two percentiles is not worth it.
SAMPLE = 50_000
ACTIVE = """
SELECT count(DISTINCT trader_id) FROM traders_traderday
 WHERE day > (now() AT TIME ZONE 'UTC')::date - 7 AND (events > 0 OR volume_usd > 0)
"""


def rotation() -> dict[str, Any]:
    """Return how many traders there are, and how long those in turn have waited, in seconds."""
    with connection.cursor() as cursor:
        cursor.execute(TURNS)
        names = [column.name for column in cursor.description or ()]
        values: dict[str, Any] = dict(zip(names, cursor.fetchone(), strict=True))
        cursor.execute(PERCENTILES, [min(100.0, 100 * SAMPLE / max(1, values["traders"]))])
        p50, p95 = cursor.fetchone()[0] or (None, None)
    return values | {"p50": p50, "p95": p95}


def active_traders() -> int:
    """Return how many traders had a fill or a changed snapshot within seven days."""
    with connection.cursor() as cursor:
        cursor.execute(ACTIVE)
        (count,) = cursor.fetchone()
    return int(count)
