"""The boards as operators see them."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from hlcopy.admin import ReadOnlyAdmin
from leaderboard.metrics import WINDOWS
from leaderboard.models import Board, LeaderboardMetric
from leaderboard.reading import newest_board


@admin.register(Board)
class BoardAdmin(ReadOnlyAdmin):
    """The boards that are kept, newest first."""

    list_display = ("id", "preset", "window", "traders", "weights_hash", "updated_at")
    list_filter = ("preset", "window")
    ordering = ("-id",)


class WindowFilter(admin.SimpleListFilter):
    """Which window's board; without a choice that of 30 days."""

    title = "window"
    parameter_name = "window"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        """Name the boards that there are."""
        return [(window, window) for window in WINDOWS]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[LeaderboardMetric]
    ) -> QuerySet[LeaderboardMetric]:
        """Show the newest board of the window alone: a partition, by its rank."""
        board = newest_board(settings.CONFIGURATION.leaderboard_preset, self.value() or "30")
        return queryset.filter(board=board) if board else queryset.none()


@admin.register(LeaderboardMetric)
class LeaderboardMetricAdmin(ReadOnlyAdmin):
    """The rows of the board that is shown, by rank."""

    list_display = (
        *("rank", "trader", "trader_score", "account_age_days", "total_volume_usd", "win_rate"),
        *("risk_ratio", "max_drawdown", "net_pnl", "closed_trips"),
    )
    list_filter = (WindowFilter,)
    list_select_related = ("trader",)
    ordering = ("id",)
