"""What every admin page here has in common: records are looked at, quickly, and never changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Model
from django.http import HttpRequest
from django.utils.functional import cached_property

from hlcopy.models import JobRun

#: Up to here rows are counted; a page further down is not looked at by anybody.
COUNTED_ROWS = 10_000

admin.site.site_header = admin.site.site_title = "hlcopy"
admin.site.index_title = "Records"


class EstimatingPaginator(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Counts at most 10,000 rows; beyond, PostgreSQL's estimate of the whole table is enough."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows, exact while small."""
        rows: Any = self.object_list
        few: int = rows.order_by()[: COUNTED_ROWS + 1].count()
        if few <= COUNTED_ROWS or rows.query.where:
            return min(few, COUNTED_ROWS)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass",
                [rows.model._meta.db_table],
            )
            (estimate,) = cursor.fetchone()
        return max(few, int(estimate))


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """A record: who may view it sees it, nobody changes it here."""

    paginator = EstimatingPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 0
    # A click on a column must not sort a million rows.
    sortable_by = ()
    actions = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody."""
        return False


@admin.register(JobRun)
class JobRunAdmin(ReadOnlyAdmin):
    """Runs of the periodic jobs, newest first."""

    list_display = (
        *("job", "slot", "state", "attempts", "sent_at", "started_at", "finished_at"),
        *("summary", "error"),
    )
    list_filter = ("state",)
    ordering = ("-id",)
