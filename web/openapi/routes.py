"""What each route takes and gives: views are described here, and stay free of it themselves."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.views import APIView

from leaderboard.serializers import BoardQuery, Preset
from leaderboard.views import Leaderboard, LegacyLeaderboard, ScoredTrader, TraderMetrics
from traders.serializers import TRADER, EquityQuery, EventQuery, LogQuery, Query, TraderQuery
from traders.views import EventLog, TraderEquity, TraderEvents, TraderList
from web.clearing import ClearCache
from web.monitoring import Metrics, Stats
from web.openapi.naming import name
from web.openapi.shapes import TEXT, Schema, ref

#: What a parameter means, wherever it is taken; docs/api.md says more.
PARAMETERS = {
    "after": "the number of an event: only those behind it",
    "address": "0x and 40 hex digits",
    "coin": "a coin, such as BTC or xyz:TSLA",
    "cursor": "from `next` or `previous`",
    "dex": "a builder's dex; the main one if not given",
    "first_seen_from": "seen for the first time then or later",
    "first_seen_to": "seen for the first time before",
    "from": "the beginning of the series; the oldest snapshot if not given",
    "has_positions": "only who holds a position, or is known to hold none",
    "kind": "what happened to the position",
    "last_tracked_from": "newest snapshot then or later",
    "last_tracked_to": "newest snapshot before",
    "limit": "how many results at most",
    "min_account_value": "account value of the main dex, in USD",
    "offset": "how many results to pass over",
    "order": "largest first, or smallest first",
    "ordering": "by which value; a minus turns it round; who has none is left out",
    "points": "how many points at most",
    "preset": "which score",
    "search": "the first hex digits of an address",
    "sort_by": "by which value; unknown ones come last",
    "to": "the end of the series; now if not given",
    "trader": "a trader's number, or 0x and 40 hex digits",
    "window": "how many days are looked back",
} | {
    f"{end}_{name}": f"only who has {words} that; whose value is unknown does not"
    for name in ("total_volume_usd", "closed_trips", "account_age_days", "win_rate")
    for end, words in (("min", "at least"), ("max", "at most"))
}
OF_TRADER = OpenApiParameter("trader", TRADER, OpenApiParameter.PATH)
PROMETHEUS = {(200, "text/plain"): TEXT}


def describe(
    view: type[APIView],
    summary: str,
    query: type[Query] | None = None,
    gives: str | dict[Any, Schema] = "",
    *,
    methods: tuple[str, ...] = ("get",),
    of_trader: bool = False,
) -> None:
    """Say what a view takes and gives; `gives` is the name of a shape, or responses."""
    responses = {200: ref(gives)} if isinstance(gives, str) else gives
    parameters: list[OpenApiParameter | type[Query]] = [OF_TRADER] if of_trader else []
    if query:
        parameters.append(query)
    told = extend_schema(
        summary=summary,
        description=summary,
        parameters=parameters,
        request=None,
        responses=responses,
    )
    extend_schema_view(**dict.fromkeys(methods, told))(view)


describe(TraderList, "Traders, with filters", TraderQuery, "TraderPage")
describe(TraderEvents, "One trader's events, newest first", EventQuery, "EventPage", of_trader=True)
describe(TraderEquity, "One trader's equity", EquityQuery, "EquityPage", of_trader=True)
describe(EventLog, "The event log, in the order of its numbers", LogQuery, "EventLog")
describe(ScoredTrader, "One trader and its positions", None, "TraderDetail", of_trader=True)
describe(TraderMetrics, "One trader's metrics", Preset, "TraderMetrics", of_trader=True)
describe(Leaderboard, "The leaderboard", BoardQuery, "Board")
describe(LegacyLeaderboard, "The leaderboard's first 100 rows", None, "LegacyBoard")
describe(ClearCache, "Clear the leaderboard's cache", None, "Cleared", methods=("get", "post"))
describe(Stats, "Every number", None, "Stats")
describe(Metrics, "Every number, for Prometheus", None, PROMETHEUS)


class Token(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # it registers itself
    """The operator's token."""

    target_class = "web.access.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> Schema:
        """Return how it is shown."""
        return {"type": "http", "scheme": "bearer", "description": "manage.py createtoken"}


def plain(
    path: str, summary: str, tag: str, responses: dict[str, Schema], *parameters: str
) -> Schema:
    """Return the description of a route that is a plain Django view."""
    return {
        "get": {
            "operationId": name("get", path),
            "summary": summary,
            "description": summary,
            "tags": [tag],
            "parameters": [
                {"name": each, "in": "path", "required": True, "schema": TEXT}
                for each in parameters
            ],
            "responses": responses,
        }
    }


def gives(shape: str, media_type: str = "application/json") -> Schema:
    """Return the description of an answer."""
    schema = ref(shape) if shape else TEXT
    return {"description": "", "content": {media_type: {"schema": schema}}}


HTML = gives("", "text/html")
BOTH = {"description": "", "content": gives("Root")["content"] | HTML["content"]}
PLAIN_ROUTES: dict[str, Schema] = {
    path: plain(path, summary, tag, responses, *parameters)
    for path, summary, tag, responses, *parameters in (
        ("/", "The dashboard, or a message", "pages", {"200": BOTH}),
        ("/traders/{address}", "The page of one trader", "pages", {"200": HTML}, "address"),
        ("/admin/overview/", "Every number, for staff", "pages", {"200": HTML}),
        ("/api/docs", "The routes, to try them", "pages", {"200": HTML}),
        ("/health", "Alive", "health", {"200": gives("Health")}),
        ("/health/ready", "Ready", "health", {"200": gives("Ready"), "503": gives("Ready")}),
    )
}
