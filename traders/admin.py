"""The records of the book as operators see them: found by index, shown without counting."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import admin
from django.db import connection
from django.db.models import F, Model, QuerySet
from django.db.models.functions import Now
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hlcopy.admin import ReadOnlyAdmin
from traders.coverage import alive
from traders.models import (
    AccountSnapshot,
    Coin,
    FeedSocket,
    Position,
    PositionEvent,
    Trader,
)

EXPLORER = "https://app.hyperliquid.xyz/explorer/address/{}"
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


class TrackedFilter(admin.SimpleListFilter):
    """How tracking stands with a trader."""

    title = "tracking"
    parameter_name = "tracking"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Name the choices."""
        return [
            ("never", "never tracked"),
            ("failing", "failing"),
            ("quarantined", "in quarantine"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Trader]) -> QuerySet[Trader]:
        """Narrow the list."""
        match self.value():
            case "never":  # in the rotation, whose index begins with them
                return queryset.filter(last_tracked_at=None, quarantined_at=None, retry_at=None)
            case "failing":
                return queryset.filter(failures__gt=0)
            case "quarantined":
                return queryset.exclude(quarantined_at=None)
        return queryset


class PositionInline(admin.TabularInline):  # type: ignore[type-arg]  # not generic at run time
    """What the trader holds."""

    model = Position
    extra = 0
    can_delete = False
    fields = (
        *("coin", "size", "entry_price", "notional", "unrealised_pnl"),
        *("leverage", "leverage_type", "margin_used", "liquidation_price", "as_of_ms"),
    )
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False


@admin.register(Trader)
class TraderAdmin(ReadOnlyAdmin):
    """Everybody who was seen trading, newest first; search by address or its beginning."""

    list_display = (
        *("address", "dexes", "first_seen_at", "last_tracked_at", "failures", "last_error"),
        "explorer",
    )
    list_filter = (TrackedFilter,)
    search_fields = ("address",)
    search_help_text = "address, or its beginning (0x12ab)"
    ordering = ("-id",)
    inlines = (PositionInline,)
    readonly_fields = ("explorer", "events", "snapshots", "lease_until")
    actions = ("track_next", "release")

    @admin.action(description="Track in the next pass", permissions=["track"])
    def track_next(self, request: HttpRequest, traders: QuerySet[Trader]) -> None:
        """Put the traders at the head of the queue; the exchange is asked by the next pass."""
        queued = traders.filter(quarantined_at=None).update(retry_at=Now())
        self.message_user(request, f"Tracked in the next pass: {queued}")

    @admin.action(description="Release from quarantine", permissions=["track"])
    def release(self, request: HttpRequest, traders: QuerySet[Trader]) -> None:
        """Give traders whose claims killed their workers another chance."""
        released = traders.exclude(quarantined_at=None).update(
            quarantined_at=None, unfinished_claims=0, last_error=""
        )
        self.message_user(request, f"Released: {released}")

    def has_track_permission(self, request: HttpRequest) -> bool:
        """Those who may change traders."""
        return request.user.has_perm("traders.change_trader")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search by the index alone: Django's own way would read every row."""
        if search_term:
            queryset = queryset & with_address_prefix(search_term)
        return queryset, False

    @admin.display(description="explorer")
    def explorer(self, trader: Trader) -> SafeString:
        """Link to the exchange's own page of the account."""
        return format_html(
            '<a href="{}" target="_blank" rel="noopener noreferrer">open</a>',
            EXPLORER.format(trader.address),
        )

    @admin.display(description="events")
    def events(self, trader: Trader) -> SafeString:
        """Link to the trader's events."""
        return _list_of("positionevent", trader)

    @admin.display(description="snapshots")
    def snapshots(self, trader: Trader) -> SafeString:
        """Link to the trader's snapshots."""
        return _list_of("accountsnapshot", trader)


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
    """Every open position."""

    list_display = (
        *("trader", "coin", "size", "entry_price", "notional", "unrealised_pnl"),
        *("leverage", "as_of_ms"),
    )
    list_select_related = ("trader",)
    raw_id_fields = ("trader",)


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


@admin.register(Coin)
class CoinAdmin(ReadOnlyAdmin):
    """What the exchange lists."""

    list_display = ("name", "dex", "size_decimals", "max_leverage", "is_delisted", "updated_at")
    list_filter = ("is_delisted",)
    search_fields = ("name",)
    ordering = ("dex", "name")


@admin.register(FeedSocket)
class FeedSocketAdmin(ReadOnlyAdmin):
    """The sockets of the stream processes, those of dead ones for an hour."""

    list_display = (
        *("name", "alive", "connected", "since_at", "seen_at", "number_of_coins"),
        *("newest_block_ms", "trades", "bad_frames", "reconnects", "last_error"),
    )
    ordering = (F("seen_at").desc(), "name")

    @admin.display(boolean=True)
    def alive(self, feed_socket: FeedSocket) -> bool:
        """Say whether its process still writes the row."""
        return alive().filter(pk=feed_socket.pk).exists()

    @admin.display(description="coins")
    def number_of_coins(self, feed_socket: FeedSocket) -> int:
        """Count the coins that it carries."""
        return len(feed_socket.coins)


def _list_of(model: str, trader: Trader) -> SafeString:
    url = reverse(f"admin:traders_{model}_changelist")
    return format_html('<a href="{}?trader_id={}">show</a>', url, trader.pk)
