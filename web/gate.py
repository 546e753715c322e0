"""What is checked before a WebSocket is accepted: its origin, the number of sockets, the login."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from asgiref.sync import sync_to_async
from channels.auth import get_user
from channels.sessions import CookieMiddleware, SessionMiddleware
from django.conf import settings

from web import limits, tokens
from web.access import LOG_IN_FIRST
from web.errors import body
from web.hub import hub
from web.origin import same_origin
from web.wire import Send, Wire

MAX_SOCKETS = 10_000  # of one process: 24 KiB each

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def gate(application: Application) -> Application:
    """Refuse with an HTTP status before the handshake whatever may not listen."""

    async def admitted(scope: Scope, receive: Receive, send: Send) -> None:
        if settings.CONFIGURATION.loopback or await is_known(scope):
            await application(scope, receive, send)
        elif settings.CONFIGURATION.read_needs_login:
            await refuse(scope, send, 401, "not_authenticated", LOG_IN_FIRST)
        elif await sync_to_async(limits.read_wait_seconds)(address_of(scope)):
            await refuse(scope, send, 429, "throttled", "too many connections; try again later")
        else:
            await application(scope, receive, send)

    with_session = CookieMiddleware(SessionMiddleware(admitted))

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        if not same_origin(headers.get(b"origin"), headers.get(b"host", "")):
            await refuse(scope, send, 403, "foreign_origin", "this page belongs to another server")
        elif hub().sockets >= MAX_SOCKETS:
            await refuse(scope, send, 503, "too_many_sockets", "this server has no socket to spare")
        else:
            scope["wire"] = Wire(send)
            await with_session(scope, receive, send)

    return guarded


def address_of(scope: Scope) -> str:
    """Return the address of the client."""
    forwarded = dict(scope["headers"]).get(b"x-forwarded-for", b"").decode("latin-1")
    return limits.client_address((scope.get("client") or ("",))[0], forwarded)


async def is_known(scope: Scope) -> bool:
    """Return whether the client shows a living token or a login's cookie."""
    token = tokens.shown(dict(scope["headers"]).get(b"authorization", b"").decode("latin-1"))
    if token is not None:
        return await sync_to_async(tokens.find)(token) is not None
    return bool((await get_user(scope)).is_authenticated)


async def refuse(scope: Scope, send: Send, status: int, code: str, message: str) -> None:
    """Answer the handshake with an HTTP error (a plain 403 where the server knows no other)."""
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})
        return
    headers = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body(code, message)})
