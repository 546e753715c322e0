"""The pages, and what a load balancer asks: no page waits for the database."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from web import errors, limits, tokens
from web.access import LOG_IN_FIRST
from web.headers import POLICY
from web.health import Readiness

#: The style sheet of Swagger UI has pictures inside.
DOCS_POLICY = f"{POLICY}; img-src 'self' data:"
HTML, JSON = "text/html", "application/json"
ROOT = {
    "message": "hlcopy is running: every Hyperliquid trader's positions, live",
    "traders": "/traders",
    "events": "/api/v1/events",
    "updates": "/ws/v1/updates",
    "health": "/health/ready",
}
readiness = Readiness()

View = Callable[..., Coroutine[Any, Any, HttpResponse]]


def reading(view: View) -> View:
    """Let only GET and HEAD through to the view."""

    @wraps(view)
    async def answer(request: HttpRequest, **arguments: str) -> HttpResponse:
        if request.method not in {"GET", "HEAD"}:
            response = errors.answer(405, "method_not_allowed", "only GET is allowed here")
            response["Allow"] = "GET, HEAD"
            return response
        return await view(request, **arguments)

    # What only reads has nothing to protect, and refuses a POST in its own words.
    return csrf_exempt(answer)


def for_readers(view: View) -> View:
    """Let only those read who may; a browser is sent to the login page."""

    @wraps(view)
    async def answer(request: HttpRequest, **arguments: str) -> HttpResponse:
        if settings.CONFIGURATION.loopback or await is_known(request):
            return await view(request, **arguments)
        if not settings.CONFIGURATION.read_needs_login:
            address = limits.address_of(request)
            seconds = await sync_to_async(limits.read_wait_seconds)(address)
            return errors.throttled(seconds) if seconds else await view(request, **arguments)
        if wants_html(request):
            return redirect_to_login(request.get_full_path())
        return errors.answer(401, "not_authenticated", LOG_IN_FIRST)

    return answer


async def is_known(request: HttpRequest) -> bool:
    """Return whether the client shows a living token or is logged in."""
    token = tokens.shown(request.headers.get("authorization", ""))
    if token is not None:
        return await sync_to_async(tokens.find)(token) is not None
    return (await request.auser()).is_authenticated


def wants_html(request: HttpRequest) -> bool:
    """Return whether the client prefers a page to JSON; without a preference it is JSON."""
    return request.get_preferred_type([JSON, HTML]) == HTML


@reading
@for_readers
async def root(request: HttpRequest) -> HttpResponse:
    """`GET /`: the dashboard for a browser, a message for everybody else."""
    if wants_html(request):
        response = await page(request, "web/dashboard.html", {})
    else:
        response = HttpResponse(msgspec.json.encode(ROOT), content_type=JSON)
    response["Vary"] = "Accept"
    return response


@reading
@for_readers
async def api_docs(request: HttpRequest) -> HttpResponse:
    """`GET /api/docs`: the routes, to try them (Swagger UI)."""
    response = await page(request, "web/api_docs.html", {})
    response["Content-Security-Policy"] = DOCS_POLICY
    return response


@reading
@for_readers
async def trader(request: HttpRequest, address: str) -> HttpResponse:
    """`GET /traders/{address}`: the page of one trader."""
    if not re.fullmatch(r"0x[0-9a-f]{40}", address.lower()):
        return errors.answer(404, "not_found", "an address is 0x and 40 hex digits")
    return await page(request, "web/trader.html", {"address": address.lower()})


async def page(request: HttpRequest, template: str, values: dict[str, Any]) -> HttpResponse:
    """Render a page; in a thread, because templates are read from disk."""
    configuration = settings.CONFIGURATION
    values |= {"simulated": configuration.hlcopy_demo, "recorded": configuration.hlcopy_replay}
    return await sync_to_async(render, thread_sensitive=False)(request, template, values)


@reading
async def health(_request: HttpRequest) -> HttpResponse:
    """`GET /health`: this process is alive; asks nobody."""
    return HttpResponse(b'{"status":"ok"}', content_type=JSON)


@reading
@for_readers
async def ready(_request: HttpRequest) -> HttpResponse:
    """`GET /health/ready`: 503 with the reasons while requests cannot be served."""
    status, content = await readiness.answer()
    response = HttpResponse(msgspec.json.encode(content), status=status, content_type=JSON)
    response["Cache-Control"] = "no-store"
    if status == 503:
        response["Retry-After"] = errors.RETRY_AFTER_SECONDS
    return response
