"""The HTTP API of the leaderboard: reads boards, never computes one."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from leaderboard import cache, reading
from leaderboard.metrics import WINDOWS
from leaderboard.serializers import BoardQuery, Preset, head, published, selection
from traders.serializers import MAX_OFFSET, NoParameters, checked
from traders.views import TraderDetail, find_trader

JSON = "application/json"
#: The window that is meant where none is named.
WINDOW = "30"


def preset_of(query: dict[str, Any]) -> str:
    """Return the preset that is asked for, or the one that is set."""
    preset: str = query.get("preset") or settings.CONFIGURATION.leaderboard_preset
    return preset


def key_of(name: str, *parts: object) -> str:
    """Return a page's key, of checked values alone."""
    return f"{name}:{hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:32]}"


class CachedPage(APIView):
    """A page that is the same for everybody: from the cache, with its tag."""

    def answer(self, request: Request, key: str, make: Any) -> HttpResponseBase:
        """Answer the page, or 304 to who has it."""
        page = cache.page(key, lambda: made(make()))
        if page.etag in request.headers.get("If-None-Match", ""):
            response = HttpResponse(status=304)
        else:
            response = HttpResponse(page.body, content_type=JSON)
        response["ETag"] = page.etag
        response["Cache-Control"] = "no-cache"  # ask again, with the tag
        return response


def made(content: Any) -> cache.Page:
    """Return the content as a page."""
    body = msgspec.json.encode(content)
    return cache.Page(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"', time.time())


class Leaderboard(CachedPage):
    """`GET /api/v1/leaderboard`: one page of a board, sorted and filtered."""

    def get(self, request: Request) -> HttpResponseBase:
        """Answer one page."""
        query = checked(BoardQuery, request)
        query["preset"] = preset_of(query)
        here = request.build_absolute_uri(request.path)
        key = key_of("board", here, sorted(query.items()))
        url = request.build_absolute_uri()
        return self.answer(request, key, lambda: self.page(query, url))

    def page(self, query: dict[str, Any], url: str) -> dict[str, Any]:
        """Read the page from the database."""
        wanted = selection(query)
        board = reading.newest_board(query["preset"], query["window"])
        count = reading.count(board, wanted) if board else 0
        rows = reading.page(board, wanted) if board else []
        return {
            "count": count,
            **neighbours(url, count, wanted.limit, wanted.offset),
            **head(query["preset"], query["window"], board),
            "results": [published(row) for row in rows],
        }


def neighbours(url: str, count: int, limit: int, offset: int) -> dict[str, str | None]:
    """Return the URLs of the next page and of the one before."""
    following, before = offset + limit, None
    if offset > limit:
        before = replace_query_param(url, "offset", offset - limit)
    elif offset:
        before = remove_query_param(url, "offset")
    more = following < count and following <= MAX_OFFSET
    return {
        "next": replace_query_param(url, "offset", following) if more else None,
        "previous": before,
    }


class LegacyLeaderboard(CachedPage):
    """`GET /leaderboard`: the plain array of the first 100, for clients of the classic design."""

    def get(self, request: Request) -> HttpResponseBase:
        """Answer the rows of the default page."""
        checked(NoParameters, request)
        preset = preset_of({})
        return self.answer(request, key_of("legacy", preset), lambda: self.rows(preset))

    def rows(self, preset: str) -> list[dict[str, Any]]:
        """Read the rows from the database."""
        board = reading.newest_board(preset, WINDOW)
        rows = reading.page(board, reading.Selection()) if board else []
        return [published(row) for row in rows]


class TraderMetrics(APIView):
    """`GET /api/v1/traders/{id or address}/metrics`: every metric with its window."""

    def get(self, request: Request, trader: str) -> Response:
        """Answer the trader's row of each window's board; null where there is none."""
        preset = preset_of(checked(Preset, request))
        found = find_trader(trader)
        windows: dict[str, Any] = {}
        for window in WINDOWS:
            board = reading.newest_board(preset, window)
            row = reading.of_trader(board, found.pk) if board else None
            windows[window] = published(row) if row else None
        unranked = None if any(windows.values()) else reading.why_unranked(found)
        return Response(
            {
                "address": found.address,
                "preset": preset,
                "unranked": unranked,
                "windows": windows,
            }
        )


class ScoredTrader(TraderDetail):
    """`GET /api/v1/traders/{id or address}`: the trader as the book knows it, and the score."""

    def get(self, request: Request, trader: str) -> Response:
        """Add the place on the board that is shown; null for who is not on it."""
        response = super().get(request, trader)
        preset = preset_of({})
        board = reading.newest_board(preset, WINDOW)
        row = reading.of_trader(board, find_trader(trader).pk) if board else None
        if board and row:
            told = published(row)
            response.data["score"] = {
                **{name: told[name] for name in ("trader_score", "rank", "missing", "components")},
                "of": board.traders,
                **head(preset, WINDOW, board),
            }
        return response
