"""The records of traders as operators see them: found by the trader's address, newest first."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from hlcopy.admin import ReadOnlyAdmin
from hlcopy.clock import from_ms
from hlcopy.decimals import plain
from traders.held import at_one_moment, standings
from traders.models import AccountSnapshot, Correction, Position, PositionEvent, Trader

#: So many of the traders with an address that begins so are looked at.
TRADERS_FOUND = 100
NEWEST = """
SELECT record.id
  FROM unnest(%s::bigint[]) AS trader(id)
 CROSS JOIN LATERAL (SELECT id FROM {table} WHERE trader_id = trader.id
                      ORDER BY id DESC LIMIT 200) AS record
 ORDER BY record.id DESC LIMIT 1000
"""
_ADDRESS_PREFIX = re.compile(r"0x[0-9a-f]{0,40}")


def with_address_prefix(text: str) -> QuerySet[Trader]:
    """Return the traders whose address begins so, through the address' own index."""
    address = text.strip().lower()
    if not _ADDRESS_PREFIX.fullmatch(address):
        return Trader.objects.none()
    if len(address) == 42:
        return Trader.objects.filter(address=address)
    return Trader.objects.filter(address__startswith=address)


def standing_text(*, known: bool, stale: bool, as_of: datetime | None) -> str:
    """Return what is known of a position in words."""
    if not known:
        return "unknown"
    return f"{'stale since' if stale else 'live as of'} {as_of:%Y-%m-%d %H:%M:%S} UTC"


def tell_standings(positions: Collection[Position]) -> None:
    """Keep with each of these rows, for `standing`, what is known of it."""
    told = standings(positions)
    for row in positions:
        row.told = told[row.trader_id, row.coin]  # type: ignore[attr-defined]  # for the page alone


@admin.display(description="is")
def standing(position: Any) -> str:
    """Say whether a position is live, stale or unknown, and as of when."""
    told = position.told
    as_of = None if told.as_of_ms is None else from_ms(told.as_of_ms)
    return standing_text(known=told.known, stale=told.stale, as_of=as_of)


class OfTraders(ReadOnlyAdmin):
    """Records that belong to a trader; search by address or its beginning."""

    search_fields = ("trader_id",)
    search_help_text = (
        "the trader's address, or its beginning (0x12ab): then the newest of at most"
        f" {TRADERS_FOUND} such traders"
    )
    ordering = ("-id",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Find the traders first, by their index, then their records by theirs."""
        if not search_term:
            return queryset, False
        found = list(with_address_prefix(search_term).values_list("id", flat=True)[:TRADERS_FOUND])
        if len(found) == 1:
            return queryset.filter(trader_id=found[0]), False
        return queryset.filter(pk__in=newest_of(self.model, found)), False


def newest_of(model: type[Model], traders: list[int]) -> list[int]:
    """Return the numbers of the newest records of these traders, at most 1,000 in all.

    Each trader's own are read by index: a scan for all of them at once would go through the whole
    table where they have few, and would sort all where one has a million.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            NEWEST.format(table=connection.ops.quote_name(model._meta.db_table)), [traders]
        )
        return [number for (number,) in cursor.fetchall()]


@admin.register(Position)
class PositionAdmin(OfTraders):
    """Every open position; notional and PnL are those of its snapshot."""

    list_display = (
        *("trader", "coin", "size", "entry_price", standing, "notional", "unrealised_pnl"),
        *("leverage", "as_of_ms"),
    )
    list_select_related = ("trader",)
    raw_id_fields = ("trader",)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Read the page's positions and how fresh they are, all of one moment."""
        with at_one_moment():
            changelist = super().get_changelist_instance(request)
            tell_standings(changelist.result_list)
        return changelist


@admin.register(AccountSnapshot)
class AccountSnapshotAdmin(OfTraders):
    """The replies of the exchange about accounts."""

    list_display = (
        *("trader", "dex", "fetched_at", "state_time_ms", "account_value", "total_notional"),
        *("positions", "applied"),
    )
    list_select_related = ("trader",)
    raw_id_fields = ("trader",)


@admin.register(PositionEvent)
class PositionEventAdmin(OfTraders):
    """The event log, newest first; without filters, for which it would have to be read whole."""

    list_display = (
        *("id", "created_at", "trader_address", "kind", "coin", "side"),
        *("size_before", "size_after", "price", "source", "stale", "replayed"),
    )


@admin.register(Correction)
class CorrectionAdmin(ReadOnlyAdmin):
    """Positions that two snapshots have shown to be others than the feed had told, newest first."""

    list_display = (
        *("corrected_at", "trader", "coin", "ledger_size", "snapshot_size", "difference"),
        *("cause", "state_at"),
    )
    list_filter = ("cause",)
    list_select_related = ("trader",)
    search_fields = ("coin__exact",)
    search_help_text = "a coin, as BTC or xyz:TSLA"
    raw_id_fields = ("trader",)
    ordering = ("-id",)

    @admin.display(description="difference")
    def difference(self, correction: Correction) -> str:
        """Return what the feed had not told."""
        return plain(correction.snapshot_size - correction.ledger_size)

    @admin.display(description="state of the account")
    def state_at(self, correction: Correction) -> datetime:
        """Return the exchange's time of the snapshot."""
        return from_ms(correction.state_time_ms)
