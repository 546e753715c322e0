"""`/admin/overview/`: every number, alert, job and connection on one page, for staff."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from hlcopy import heartbeats
from hlcopy.models import Alert, StatSample
from traders.coverage import alive
from traders.models import FeedSocket
from web import monitoring, watching
from web.charts import SECONDS, Chart, chart

UNKNOWN = "unknown"
GROUPS = ("database", "feed", "tracking", "drift", "weight", "websocket", "cache")
NEWEST = 10

admin.site.index_template = "web/admin_index.html"


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """Show everything; nothing can be changed here."""
    content = monitoring.numbers()
    living = set(alive().values_list("name", flat=True))
    context = {
        **admin.site.each_context(request),
        "title": "Overview",
        "now": content["time"],
        "groups": [(group, list(rows(content[group]))) for group in GROUPS],
        "jobs": content["jobs"],
        "alerts": content["alerts"],
        "cleared": Alert.objects.exclude(cleared_at=None).order_by("-cleared_at")[:NEWEST],
        "charts": charts(content["time"]),
        "processes": heartbeats.alive().order_by("role", "name"),
        "sockets": [
            (socket, socket.name in living) for socket in FeedSocket.objects.order_by("name")[:50]
        ],
    }
    return TemplateResponse(request, "web/overview.html", context)


page = admin.site.admin_view(overview)


def rows(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Yield the label and the text of every number inside."""
    for key, value in values.items():
        label = f"{before}{key.replace('_', ' ')}"
        if isinstance(value, dict):
            yield from rows(value, f"{label} ")
        else:
            yield label, text(value)


def text(value: Any) -> str:
    """Return a value as people read it."""
    match value:
        case None:
            return UNKNOWN
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.1f}"
        case datetime():
            return f"{value:%Y-%m-%d %H:%M:%S} UTC"
        case _:
            return str(value)


def charts(now: datetime) -> list[Chart]:
    """Draw what the samples of the last hour hold."""
    samples = [
        ((now - sample.sampled_at).total_seconds(), sample.values.get("numbers", {}))
        for sample in StatSample.objects.filter(
            sampled_at__gt=now - timedelta(seconds=SECONDS)
        ).order_by(F("sampled_at"))
    ]
    if not samples:
        return []
    return [
        chart(name.replace("_", " "), [(ago, numbers.get(name)) for ago, numbers in samples])
        for name in watching.CHARTED
    ]
