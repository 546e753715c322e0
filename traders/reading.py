"""The queries behind the API: what is known of traders, read without a lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import connection

from hlcopy.clock import from_ms
from traders.models import Ledger, Trader

# Below this many rows they are counted, above it PostgreSQL's own estimate is near enough.
COUNT_EXACTLY = 10_000
# One index probe for each trader and dex; the sum is null where a part of it is unknown.
SUMMARIES = """
SELECT trader.id, trader.address, trader.first_seen_at, trader.last_tracked_at,
       (SELECT CASE WHEN bool_and(newest.account_value IS NOT NULL)
                    THEN sum(newest.account_value) END
          FROM unnest(trader.dexes) AS dex(name)
          LEFT JOIN LATERAL (
               SELECT account_value FROM traders_accountsnapshot
                WHERE trader_id = trader.id AND dex = dex.name
                ORDER BY state_time_ms DESC LIMIT 1) newest ON true),
       CASE WHEN ledger.floors <> '{}'
            THEN (SELECT count(*) FROM traders_position WHERE trader_id = trader.id) END
  FROM traders_trader trader
  LEFT JOIN traders_ledger ledger ON ledger.trader_id = trader.id
 WHERE trader.id = ANY(%s)
 ORDER BY trader.id
"""


@dataclass(frozen=True, slots=True)
class TraderSummary:
    """A trader as the list shows one: None is unknown, not zero."""

    id: int
    address: str
    first_seen_at: datetime
    last_tracked_at: datetime | None
    account_value: Decimal | None
    open_positions: int | None


def summaries(ids: Sequence[int]) -> list[TraderSummary]:
    """Return the summaries of these traders, in the order of their numbers."""
    with connection.cursor() as cursor:
        cursor.execute(SUMMARIES, [list(ids)])
        return [TraderSummary(*row) for row in cursor.fetchall()]


def number_of_traders() -> int:
    """Return how many traders there are: exactly while few, else PostgreSQL's estimate."""
    few = Trader.objects.all()[: COUNT_EXACTLY + 1].count()
    if few <= COUNT_EXACTLY:
        return few
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass",
            [Trader._meta.db_table],
        )
        (estimate,) = cursor.fetchone()
    return max(few, int(estimate))


def complete_as_of(trader: Trader) -> datetime | None:
    """Return up to when the list of a trader's positions is whole; None without a base.

    Without a feed that is the oldest floor of the dexes on which the trader was seen.
    """
    floors = Ledger.objects.filter(pk=trader.pk).values_list("floors", flat=True).first() or {}
    known = [floors[dex] for dex in trader.dexes if dex in floors]
    return from_ms(min(known)) if known and len(known) == len(trader.dexes) else None
