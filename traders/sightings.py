"""The one writer of new traders: addresses that the trade feed has shown."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import connection

from traders.arrays import array

# In the order of the addresses, so that two writers never wait for each other in a circle.
ADD_UNKNOWN = """
WITH added AS (
    INSERT INTO traders_trader (
        address, first_seen_at, dexes, unfinished_claims, failures, last_error
    )
    SELECT address, %s, '{""}', 0, 0, '' FROM unnest(%s::text[]) AS address ORDER BY address
    ON CONFLICT (address) DO NOTHING RETURNING 1
)
SELECT count(*) FROM added
"""
# Only builders' dexes are added: everybody has an account on the main one, named ''.
ADD_DEXES = """
WITH news AS (
    SELECT trader.id, seen.dex
    FROM unnest(%s::text[], %s::text[]) AS seen (address, dex)
    JOIN traders_trader AS trader USING (address)
    WHERE seen.dex <> ALL (trader.dexes)
), locked AS (
    SELECT id, dexes FROM traders_trader
    WHERE id IN (SELECT id FROM news) ORDER BY address FOR NO KEY UPDATE
)
UPDATE traders_trader AS trader
SET dexes = locked.dexes || added.dexes
FROM locked
JOIN LATERAL (
    SELECT array_agg(DISTINCT news.dex ORDER BY news.dex) AS dexes FROM news
    WHERE news.id = locked.id AND news.dex <> ALL (locked.dexes)
) AS added ON added.dexes IS NOT NULL
WHERE trader.id = locked.id
"""


def record(sightings: Collection[tuple[str, str]], at: datetime) -> int:
    """Add the unknown addresses as traders first seen `at`; return how many were new.

    `sightings` are (address, dex), addresses in lower case, "" the main dex. A known trader's new
    dexes are appended to its own. Call it inside a transaction; any number of processes may record
    the same sightings, in any order: each address becomes a trader once.
    """
    if not sightings:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(ADD_UNKNOWN, [at, array({address for address, _ in sightings})])
        (added,) = cursor.fetchone()
        elsewhere = [(address, dex) for address, dex in sightings if dex]
        if elsewhere:
            cursor.execute(ADD_DEXES, [array(column) for column in zip(*elsewhere, strict=True)])
    return int(added)
