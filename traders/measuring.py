"""What the workers measure for `/api/v1/stats`, because requests may not: it takes too long."""

from __future__ import annotations

from typing import Any

from django.db import connection

#: Seconds since a trader's turn: since it was tracked, or seen first.
ROTATION = """
WITH traders AS (
    SELECT last_tracked_at, cardinality(dexes) AS accounts, first_seen_at,
           quarantined_at IS NULL AND retry_at IS NULL AS in_turn,
           extract(epoch FROM now() - coalesce(last_tracked_at, first_seen_at))::float8 AS waiting
      FROM traders_trader)
SELECT count(*) AS traders,
       count(*) FILTER (WHERE in_turn) AS in_turn,
       count(*) FILTER (WHERE last_tracked_at IS NULL) AS never_tracked,
       count(*) FILTER (WHERE first_seen_at > now() - interval '1 minute') AS new_per_minute,
       coalesce(sum(accounts) FILTER (WHERE in_turn), 0)::int8 AS accounts,
       percentile_disc(array[0.5, 0.95]) WITHIN GROUP (ORDER BY waiting)
           FILTER (WHERE in_turn AND last_tracked_at IS NOT NULL) AS percentiles,
       max(waiting) FILTER (WHERE in_turn) AS oldest
  FROM traders
"""
ACTIVE = """
SELECT count(DISTINCT trader_id) FROM traders_traderday
 WHERE day > (now() AT TIME ZONE 'UTC')::date - 7 AND (events > 0 OR volume_usd > 0)
"""


def rotation() -> dict[str, Any]:
    """Return how many traders there are, and how long those in turn have waited, in seconds."""
    with connection.cursor() as cursor:
        cursor.execute(ROTATION)
        names = [column.name for column in cursor.description or ()]
        values: dict[str, Any] = dict(zip(names, cursor.fetchone(), strict=True))
    p50, p95 = values.pop("percentiles") or (None, None)
    return values | {"p50": p50, "p95": p95}


def active_traders() -> int:
    """Return how many traders had a fill or a changed snapshot within seven days."""
    with connection.cursor() as cursor:
        cursor.execute(ACTIVE)
        (count,) = cursor.fetchone()
    return int(count)
