"""The HTTP API of traders and their events: reads the database, never the exchange."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from django.db.models import QuerySet
from django.http import Http404
from rest_framework.exceptions import APIException
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from traders import held, reading
from traders.models import EventHead, PositionEvent, Trader
from traders.published import COLUMNS, publish
from traders.serializers import (
    MAX_LIMIT,
    MAX_OFFSET,
    EquityQuery,
    EquitySerializer,
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


class TooSlow(APIException):
    """A combination of filters that looks through too many traders."""

    status_code = 400
    default_code = "too_slow"
    default_detail = "too many traders to look through; use fewer or narrower filters"


class TraderList(APIView):
    """`GET /traders`, `/api/v1/traders`: everyone who was seen trading, in that order."""

    def get(self, request: Request) -> Response:
        """Answer one page; the count is unknown where counting would cost more than the page."""
        query = checked(TraderQuery, request)
        limit, offset = query["limit"], query["offset"]
        found = reading.traders(query)
        try:
            with reading.in_time():
                ids = list(found[offset : offset + limit + 1])
                count = reading.count(found)
                page = reading.summaries(ids[:limit])
        except reading.TooSlowError as slow:
            raise TooSlow from slow
        url = replace_query_param(request.build_absolute_uri(), "limit", limit)
        has_next = len(ids) > limit and offset + limit <= MAX_OFFSET
        return Response(
            {
                "count": count,
                "next": replace_query_param(url, "offset", offset + limit) if has_next else None,
                "previous": previous_page(url, limit, offset),
                "results": TraderSummarySerializer(page, many=True).data,
            }
        )


def previous_page(url: str, limit: int, offset: int) -> str | None:
    """Return the URL of the page before; None on the first."""
    if offset > limit:
        return replace_query_param(url, "offset", offset - limit)
    return remove_query_param(url, "offset") if offset else None


class TraderEquity(APIView):
    """`GET /api/v1/traders/{id or address}/equity?from=&to=&points=&dex=`: for a chart."""

    def get(self, request: Request, trader: str) -> Response:
        """Answer the whole series, thinned."""
        query = checked(EquityQuery, request)
        points = reading.equity(find_trader(trader), query)
        results = EquitySerializer(points, many=True).data
        return Response({"count": len(points), "next": None, "previous": None, "results": results})


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
        """Answer what is known; the positions, how fresh they are, all of one moment."""
        checked(NoParameters, request)
        found = find_trader(trader)
        account = held.account_of(found)
        summary = TraderSummarySerializer(reading.summaries([found.pk])[0]).data
        return Response(
            {
                "address": found.address,
                "first_seen_at": summary["first_seen_at"],
                "last_tracked_at": summary["last_tracked_at"],
                "complete_as_of": account.complete_as_of,
                "account_value": summary["account_value"],
                "positions": PositionSerializer(account.positions, many=True).data,
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
        oldest = reading.oldest_event(head)
        after = max(after, oldest - 1)
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
                "oldest": oldest,
                "upto": upto,
                "results": [published(row) for row in rows],
            }
        )


def published(row: tuple[Any, ...]) -> dict[str, Any]:
    """Return one event as JSON takes it."""
    event: dict[str, Any] = msgspec.to_builtins(publish(row))
    return event
