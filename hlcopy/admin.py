"""What every admin page here has in common: records are looked at, quickly, and never changed."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.paginator import Page, Paginator
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from hlcopy.models import Alert, Heartbeat, JobHealth, JobRun

#: Up to here rows are counted; a page further down is not looked at by anybody.
COUNTED_ROWS = 10_000
# Of the table, or of its partitions; below 0: never analysed.
ESTIMATE = """
SELECT sum(greatest(reltuples, 0))::bigint FROM pg_class
 WHERE oid = %(table)s::regclass
    OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = %(table)s::regclass)
"""

admin.site.site_header = admin.site.site_title = "hlcopy"
admin.site.index_title = "Records"


class EstimatingPaginator(Paginator):  # type: ignore[type-arg]  # not generic at run time
    """Counts at most 10,000 rows; beyond, PostgreSQL's estimate of the whole table is enough.

    There are pages for as many: to reach the last of a million rows, all before it are read.
    """

    @property
    def num_pages(self) -> int:
        """Return the number of pages that can be opened."""
        return max(1, -(-min(self.count, COUNTED_ROWS) // self.per_page))

    def page(self, number: Any) -> Page[Any]:
        """Return a page; only its own rows are joined with others, not all before them."""
        found = super().page(number)
        rows: Any = found.object_list
        everything: Any = self.object_list
        found.object_list = everything.filter(pk__in=list(rows.values_list("pk", flat=True)))
        return found

    @cached_property
    def count(self) -> int:
        """Return the number of rows, exact while small."""
        rows: Any = self.object_list
        few: int = rows.order_by()[: COUNTED_ROWS + 1].count()
        if few <= COUNTED_ROWS or rows.query.where:
            return min(few, COUNTED_ROWS)
        with connection.cursor() as cursor:
            cursor.execute(ESTIMATE, {"table": rows.model._meta.db_table})
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
    actions: Any = None

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
        *("worker", "summary", "error"),
    )
    list_filter = ("state",)
    ordering = ("-id",)


@admin.register(JobHealth)
class JobHealthAdmin(ReadOnlyAdmin):
    """The periodic jobs; one in quarantine may be released before its time is over."""

    list_display = ("job", "seconds", "deaths", "quarantined_at")
    ordering = ("job",)
    actions = ("release",)

    @admin.action(description="Release from quarantine", permissions=["release"])
    def release(self, request: HttpRequest, jobs: QuerySet[JobHealth]) -> None:
        """Let the jobs be sent again with their next slot."""
        released = jobs.exclude(deaths=0).update(deaths=0, quarantined_at=None)
        self.message_user(request, f"Released: {released}")

    def has_release_permission(self, request: HttpRequest) -> bool:
        """Those who may change jobs."""
        return request.user.has_perm("hlcopy.change_jobhealth")


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnlyAdmin):
    """Processes, those that died for an hour."""

    list_display = ("name", "role", "started_at", "seen_at", "numbers")
    list_filter = ("role",)
    ordering = ("-seen_at", "name")


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """What was raised and cleared in the last 30 days."""

    list_display = ("code", "since", "cleared_at", "detail")
    ordering = ("-id",)
