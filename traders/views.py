"""The HTTP API of traders and their events: reads the database, never the exchange."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from django.db.models import F, QuerySet
from django.http import Http404
from rest_framework.pagination import Cursor, CursorPagination, LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from traders import reading
from traders.models import EventHead, PositionEvent, Trader
from traders.published import COLUMNS, publish
from traders.serializers import (
    MAX_LIMIT,
    EventQuery,
    LogQuery,
    NoParameters,
    PositionSerializer,
    TraderQuery,
    TraderSummarySerializer,
    checked,
    trader_filter,
)

# A filtered reader of the log looks through at most so many events in one request.
SCAN = 50_000


class TraderPages(LimitOffsetPagination):
    """Pages by limit and offset; without a search the count may be an estimate."""

    default_limit = 100
    max_limit = MAX_LIMIT

    def get_count(self, queryset: Any) -> int:
        """Count what was searched for; the whole table is only estimated when it is large."""
        return queryset.count() if queryset.query.where else reading.number_of_traders()


class EventPages(CursorPagination):
    """Pages of events, newest first; they are never counted."""

    page_size = 100
    page_size_query_param = "limit"
    max_page_size = MAX_LIMIT
    ordering = "-id"

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the cursor; an invented one is a 404, whatever it contains."""
        cursor = super().decode_cursor(request)
        if cursor is not None and not re.fullmatch(r"[0-9]{1,18}", str(cursor.position or 0)):
            raise Http404("no such cursor")
        return cursor

    def get_paginated_response(self, data: Any) -> Response:
        """Return the page with the count that all lists have."""
        response = super().get_paginated_response(data)
        response.data = {"count": None, **response.data}
        return response


def find_trader(text: str) -> Trader:
    """Return the trader of a number or address; raises Http404."""
    lookup = trader_filter(text.lower())
    trader = Trader.objects.filter(**lookup).first() if lookup else None
    if trader is None:
        raise Http404("no such trader; give a number, or 0x and 40 hex digits")
    return trader


def filtered(query: dict[str, Any]) -> QuerySet[PositionEvent]:
    """Return the events of the kind and coin that the query asks for."""
    wanted = {name: query[name] for name in ("kind", "coin") if name in query}
    return PositionEvent.objects.filter(**wanted)


class TraderList(APIView):
    """`GET /traders?limit=&offset=&search=`: everyone who was seen trading, in that order."""

    def get(self, request: Request) -> Response:
        """Answer one page."""
        search = checked(TraderQuery, request).get("search", "")
        traders = Trader.objects.order_by("id").values_list("id", flat=True)
        if search not in {"", "0x"}:
            traders = traders.filter(address__startswith=search)
        pages = TraderPages()
        page = reading.summaries(pages.paginate_queryset(traders, request, self) or [])
        return pages.get_paginated_response(TraderSummarySerializer(page, many=True).data)


class TraderEvents(APIView):
    """`GET /traders/{id or address}/events?kind=&coin=&limit=&cursor=`: newest first."""

    def get(self, request: Request, trader: str) -> Response:
        """Answer one page."""
        query = checked(EventQuery, request)
        events = filtered(query).filter(trader_id=find_trader(trader).pk).values(*COLUMNS)
        pages = EventPages()
        page: Any = pages.paginate_queryset(events, request, self)
        return pages.get_paginated_response([published(tuple(row.values())) for row in page])


class TraderDetail(APIView):
    """One trader and the positions as last known; its route is `leaderboard`'s, with the score."""

    def get(self, request: Request, trader: str) -> Response:
        """Answer what is known; the floor is read first, so it never promises too much."""
        checked(NoParameters, request)
        found = find_trader(trader)
        complete_as_of = reading.complete_as_of(found)
        summary = TraderSummarySerializer(reading.summaries([found.pk])[0]).data
        positions = found.positions.order_by(F("notional").desc(nulls_last=True), "coin")
        return Response(
            {
                "address": found.address,
                "first_seen_at": summary["first_seen_at"],
                "last_tracked_at": summary["last_tracked_at"],
                "complete_as_of": complete_as_of,
                "account_value": summary["account_value"],
                "positions": PositionSerializer(positions, many=True).data,
                "score": None,
            }
        )


class EventLog(APIView):
    """`GET /api/v1/events?after=&limit=&trader=&coin=&kind=`: the log in the order of its ids."""

    def get(self, request: Request) -> Response:
        """Answer the events behind `after`; `upto` is where the next request begins."""
        query = checked(LogQuery, request)
        after, limit = query["after"], query["limit"]
        head = EventHead.objects.values_list("head", flat=True).get(pk=1)
        last = min(head, after + SCAN)
        events = filtered(query).filter(id__gt=after, id__lte=last).order_by("id")
        if "trader" in query:
            lookup = trader_filter(query["trader"]) or {}
            events = events.filter(trader_id__in=Trader.objects.filter(**lookup).values("id"))
        rows = list(events.values_list(*COLUMNS)[:limit])
        upto = rows[-1][0] if len(rows) == limit else last
        more = replace_query_param(request.build_absolute_uri(), "after", upto)
        return Response(
            {
                "count": None,
                "next": more if upto < head else None,
                "previous": None,
                "upto": upto,
                "results": [published(row) for row in rows],
            }
        )


def published(row: tuple[Any, ...]) -> dict[str, Any]:
    """Return one event as JSON takes it."""
    event: dict[str, Any] = msgspec.to_builtins(publish(row))
    return event
