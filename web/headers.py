"""The security headers of every answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

# No inline script, no inline style, nothing from elsewhere: names come from strangers.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "connect-src 'self'",  # the WebSocket of the same origin included
        "object-src 'none'",
        "base-uri 'self'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    )
)

Answer = HttpResponseBase | Awaitable[HttpResponseBase]


def security_headers(get_response: Callable[[HttpRequest], Answer]) -> Callable[..., Answer]:
    """Middleware: add the content security policy, unless a view has set its own."""
    if iscoroutinefunction(get_response):

        async def answer_async(request: HttpRequest) -> HttpResponseBase:
            return _with_policy(await cast(Awaitable[HttpResponseBase], get_response(request)))

        return markcoroutinefunction(answer_async)

    def answer(request: HttpRequest) -> HttpResponseBase:
        return _with_policy(cast(HttpResponseBase, get_response(request)))

    return answer


security_headers.sync_capable = security_headers.async_capable = True  # type: ignore[attr-defined]  # how Django asks


def _with_policy(response: HttpResponseBase) -> HttpResponseBase:
    response.headers.setdefault("Content-Security-Policy", POLICY)
    return response
