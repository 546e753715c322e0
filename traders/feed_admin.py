"""How the feed is covered, as operators see it: sockets, coins, gaps, and files of a node."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import BooleanField, ExpressionWrapper, F, Q, QuerySet
from django.http import HttpRequest

from hlcopy.admin import ReadOnlyAdmin
from hlcopy.clock import from_ms
from traders.coverage import alive, covered_coins
from traders.models import FeedCursor, FeedDay, FeedGap, FeedSocket, ImportedFile


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


@admin.register(FeedDay)
class FeedDayAdmin(ReadOnlyAdmin):
    """How long the feed was carried on each UTC day, newest first."""

    list_display = ("day", "covered_seconds", "counted_until")
    ordering = ("-day",)


@admin.register(FeedCursor)
class FeedCursorAdmin(ReadOnlyAdmin):
    """How far each coin's trades are counted; a coin that nobody carries has an open gap."""

    list_display = (
        *("coin", "is_carried", "newest_at", "last_gap_until", "last_price"),
        *("trades", "late"),
    )
    search_fields = ("coin__istartswith",)
    ordering = ("coin",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[FeedCursor]:
        """Add whether a living socket carries the coin."""
        carried: Any = ExpressionWrapper(
            Q(coin__in=list(covered_coins())), output_field=BooleanField()
        )
        cursors: QuerySet[FeedCursor] = super().get_queryset(request)
        return cursors.annotate(carried=carried).defer("keys")

    @admin.display(boolean=True, description="carried")
    def is_carried(self, cursor: Any) -> bool:
        """Say whether a living socket carries the coin."""
        return bool(cursor.carried)

    @admin.display(description="newest trade")
    def newest_at(self, cursor: FeedCursor) -> datetime | None:
        """Return the exchange's time of the newest trade."""
        return None if cursor.newest_ms is None else from_ms(cursor.newest_ms)

    @admin.display(description="last gap until")
    def last_gap_until(self, cursor: FeedCursor) -> datetime | None:
        """Return where the last gap ended."""
        return None if cursor.gap_until_ms is None else from_ms(cursor.gap_until_ms)


@admin.register(FeedGap)
class FeedGapAdmin(ReadOnlyAdmin):
    """Trades that nobody has received, newest first; an open gap is a coin that nobody carries."""

    list_display = (
        *("coin", "reason", "begins_at", "ends_at", "seconds", "noted_at", "queued_at"),
    )
    list_filter = ("reason",)
    search_fields = ("coin__exact",)
    search_help_text = "a coin, as BTC or xyz:TSLA"
    ordering = ("-id",)

    @admin.display(description="after")
    def begins_at(self, gap: FeedGap) -> datetime | None:
        """Return the time of the last trade that was received; None: since ever."""
        return None if gap.from_ms is None else from_ms(gap.from_ms)

    @admin.display(description="up to and with")
    def ends_at(self, gap: FeedGap) -> datetime:
        """Return where the gap ends."""
        return from_ms(gap.to_ms)

    @admin.display(description="seconds")
    def seconds(self, gap: FeedGap) -> str:
        """Return how long it was, in exchange time."""
        return "" if gap.from_ms is None else f"{(gap.to_ms - gap.from_ms) / 1000:,.3f}"


@admin.register(ImportedFile)
class ImportedFileAdmin(ReadOnlyAdmin):
    """How far each file of a node's fills is counted, the newest first."""

    list_display = (
        *("path", "lines", "damaged", "newest_at", "number_of_coins", "is_finished"),
        "counted_at",
    )
    ordering = ("-counted_at", "path")

    @admin.display(description="newest fill")
    def newest_at(self, imported: ImportedFile) -> datetime | None:
        """Return the exchange's time of the newest fill."""
        return None if imported.newest_ms is None else from_ms(imported.newest_ms)

    @admin.display(description="coins")
    def number_of_coins(self, imported: ImportedFile) -> int:
        """Count the coins that it carries."""
        return len(imported.coins)
