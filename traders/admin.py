"""Traders and coins as operators see them: found by index, shown without counting."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Count, Model, QuerySet
from django.db.models.functions import Now
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from hlcopy.admin import ReadOnlyAdmin
from traders import feed_admin, records_admin
from traders.claims import locked
from traders.held import account_of, at_one_moment
from traders.models import Coin, Position, Trader, WaitingFill
from traders.records_admin import (
    standing,
    standing_text,
    tell_standings,
    with_address_prefix,
)

__all__ = ["feed_admin", "records_admin"]  # Django finds them through here


EXPLORER = "https://app.hyperliquid.xyz/explorer/address/{}"


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
            ("healing", "in the healing queue"),
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
            case "healing":
                return queryset.exclude(healing="")
        return queryset


class HeldFormSet(BaseInlineFormSet):  # type: ignore[type-arg]  # not generic at run time
    """A trader's positions and how fresh they are, all of one moment."""

    def get_queryset(self) -> QuerySet[Position]:
        """Read them once."""
        is_first = not hasattr(self, "_queryset")
        with at_one_moment():
            rows = super().get_queryset()
            if is_first:
                tell_standings(rows)
        return rows


class PositionInline(admin.TabularInline):  # type: ignore[type-arg]  # not generic at run time
    """What the trader holds."""

    model = Position
    formset = HeldFormSet
    extra = 0
    can_delete = False
    fields = (
        *("coin", "size", "entry_price", "standing", "notional", "unrealised_pnl"),
        *("leverage", "leverage_type", "margin_used", "liquidation_price", "as_of_ms"),
    )
    readonly_fields = fields
    standing = staticmethod(standing)

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
        *("address", "dexes", "first_seen_at", "last_tracked_at", "healing", "failures"),
        *("last_error", "explorer"),
    )
    list_filter = (TrackedFilter,)
    search_fields = ("address",)
    search_help_text = "address, or its beginning (0x12ab)"
    ordering = ("-id",)
    inlines = (PositionInline,)
    readonly_fields = (
        *("explorer", "standing", "complete_as_of", "waiting_fills", "events", "snapshots"),
        "lease_until",
    )
    actions = ("track_next", "release")

    @admin.action(description="Track in the next pass", permissions=["track"])
    def track_next(self, request: HttpRequest, traders: QuerySet[Trader]) -> None:
        """Put the traders at the head of the queue; the exchange is asked by the next pass."""
        with transaction.atomic():
            queued = locked(traders.filter(quarantined_at=None)).update(retry_at=Now())
        self.message_user(request, f"Tracked in the next pass: {queued}")

    @admin.action(description="Release from quarantine", permissions=["track"])
    def release(self, request: HttpRequest, traders: QuerySet[Trader]) -> None:
        """Give traders whose claims killed their workers another chance."""
        with transaction.atomic():
            released = locked(traders.exclude(quarantined_at=None)).update(
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

    @admin.display(description="positions are")
    def standing(self, trader: Trader) -> SafeString:
        """Say of each position whether it is live, stale or unknown, and as of when."""
        rows = (
            (held.coin, standing_text(known=held.known, stale=held.stale, as_of=held.as_of))
            for held in account_of(trader).positions
        )
        return format_html_join("", "{}: {}<br>", rows) or format_html("none is known")

    @admin.display(description="complete as of")
    def complete_as_of(self, trader: Trader) -> datetime | None:
        """Return up to when no position is missing."""
        return account_of(trader).complete_as_of

    @admin.display(description="waiting fills")
    def waiting_fills(self, trader: Trader) -> str:
        """Count, by coin, the fills that wait until the position is known."""
        waiting = WaitingFill.objects.filter(trader_id=trader.pk).values("coin").order_by("coin")
        counts = waiting.annotate(fills=Count("id")).values_list("coin", "fills")
        return ", ".join(f"{coin} {fills}" for coin, fills in counts) or "none"

    @admin.display(description="events")
    def events(self, trader: Trader) -> SafeString:
        """Link to the trader's events."""
        return _list_of("positionevent", trader)

    @admin.display(description="snapshots")
    def snapshots(self, trader: Trader) -> SafeString:
        """Link to the trader's snapshots."""
        return _list_of("accountsnapshot", trader)


@admin.register(Coin)
class CoinAdmin(ReadOnlyAdmin):
    """What the exchange lists."""

    list_display = ("name", "dex", "size_decimals", "max_leverage", "is_delisted", "updated_at")
    list_filter = ("is_delisted",)
    search_fields = ("name",)
    ordering = ("dex", "name")


def _list_of(model: str, trader: Trader) -> SafeString:
    url = reverse(f"admin:traders_{model}_changelist")
    return format_html('<a href="{}?trader_id={}">show</a>', url, trader.pk)
