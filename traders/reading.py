"""The queries behind the API: what is known of traders, read without a lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import OperationalError, connection, transaction
from django.db.models import Exists, Max, Min, OuterRef, QuerySet
from psycopg.errors import QueryCanceled

from hlcopy.clock import from_ms, to_ms
from traders.models import AccountSnapshot, Position, PositionEvent, Trader

# Below this many rows they are counted, above it PostgreSQL's own estimate is near enough.
COUNT_EXACTLY = 10_000
# One index probe for each trader and dex; the sum is null where a part of it is unknown. A reply
# that shows no money and waits for a second look tells nothing yet.
SUMMARIES = """
SELECT trader.id, trader.address, trader.first_seen_at, trader.last_tracked_at,
       (SELECT CASE WHEN bool_and(newest.account_value IS NOT NULL)
                    THEN sum(newest.account_value) END
          FROM unnest(trader.dexes) AS dex(name)
          LEFT JOIN LATERAL (
               SELECT account_value FROM traders_accountsnapshot
                WHERE trader_id = trader.id AND dex = dex.name
                  AND (applied OR account_value IS NOT NULL)
                ORDER BY state_time_ms DESC LIMIT 1) newest ON true),
       CASE WHEN ledger.floors <> '{}'
            THEN (SELECT count(*) FROM traders_position WHERE trader_id = trader.id) END
  FROM traders_trader trader
  LEFT JOIN traders_ledger ledger ON ledger.trader_id = trader.id
 WHERE trader.id = ANY(%s)
"""


# Filters of the list of traders that are one comparison.
LOOKUPS = {
    "min_account_value": "ledger__account_value__gte",
    "first_seen_from": "first_seen_at__gte",
    "first_seen_to": "first_seen_at__lt",
    "last_tracked_from": "last_tracked_at__gte",
    "last_tracked_to": "last_tracked_at__lt",
}
# By what traders can be sorted: each has an index.
ORDERINGS = {
    "id": "id",
    "last_tracked_at": "last_tracked_at",
    "account_value": "ledger__account_value",
}
EQUITY = """
SELECT DISTINCT ON (part)
       width_bucket(state_time_ms::float8, %s, %s, %s) AS part,
       state_time_ms, account_value, total_notional, margin_used, positions
  FROM traders_accountsnapshot
 WHERE trader_id = %s AND dex = %s AND applied AND state_time_ms >= %s AND state_time_ms < %s
 ORDER BY part, state_time_ms DESC
"""
ANSWER_WITHIN_MS = 2000


class TooSlowError(Exception):
    """The question looks through more rows than one request may."""


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
    """Return the summaries of these traders, in this order."""
    with connection.cursor() as cursor:
        cursor.execute(SUMMARIES, [list(ids)])
        known = {row[0]: TraderSummary(*row) for row in cursor.fetchall()}
    return [known[number] for number in ids if number in known]


def traders(query: dict[str, Any]) -> QuerySet[Trader, int]:
    """Return the numbers of the traders that a checked query asks for, in its order.

    Whoever has no value to be sorted by is left out.
    """
    ordering = query["ordering"]
    column, sign = ORDERINGS[ordering.lstrip("-")], "-" if ordering.startswith("-") else ""
    found = Trader.objects.order_by(f"{sign}{column}", f"{sign}id")
    wanted = {lookup: query[name] for name, lookup in LOOKUPS.items() if name in query}
    if column != "id":
        wanted[f"{column}__isnull"] = False
    if query.get("search") not in {None, "", "0x"}:
        wanted["address__startswith"] = query["search"]
    found = found.filter(**wanted)
    held = Position.objects.filter(trader=OuterRef("pk"))
    if "coin" in query:
        found = found.filter(Exists(held.filter(coin=query["coin"])))
    match query.get("has_positions"):
        case "true":
            found = found.filter(Exists(held))
        case "false":  # known to hold none: it was looked at
            found = found.filter(~Exists(held), ledger__isnull=False, ledger__doubts={})
            found = found.exclude(ledger__floors={})
    return found.values_list("id", flat=True)


def count(found: QuerySet[Any, Any]) -> int | None:
    """Return how many traders were found; None if more than are worth counting."""
    if not found.query.where:
        return number_of_traders()
    few = found.order_by()[: COUNT_EXACTLY + 1].count()
    return few if few <= COUNT_EXACTLY else None


@contextmanager
def in_time() -> Iterator[None]:
    """Let PostgreSQL give up within two seconds; raises TooSlowError then."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {ANSWER_WITHIN_MS}")
            yield
    except OperationalError as failure:
        if isinstance(failure.__cause__, QueryCanceled):
            raise TooSlowError from failure
        raise


def equity(trader: Trader, query: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the history of an account, oldest first, at most `points` of it.

    The time asked for is cut into so many parts, and the newest snapshot stands for each.
    """
    series = AccountSnapshot.objects.filter(trader=trader, dex=query["dex"], applied=True)
    known = series.aggregate(oldest=Min("state_time_ms"), newest=Max("state_time_ms"))
    if known["oldest"] is None:
        return []
    begin = to_ms(query["from"]) if "from" in query else known["oldest"]
    end = to_ms(query["to"]) if "to" in query else known["newest"] + 1
    if begin >= end:
        return []
    with connection.cursor() as cursor:
        cursor.execute(EQUITY, [begin, end, query["points"], trader.pk, query["dex"], begin, end])
        names = ("account_value", "total_notional", "margin_used", "open_positions")
        return [
            {"at": from_ms(at), **dict(zip(names, values, strict=True))}
            for _part, at, *values in cursor.fetchall()
        ]


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


def oldest_event(head: int) -> int:
    """Return the number of the first event that is kept, head + 1 where there is none."""
    first: int | None = PositionEvent.objects.aggregate(first=Min("id"))["first"]
    return head + 1 if first is None else first
