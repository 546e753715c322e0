"""The ASGI application: `/ws`, `POST /info`, and `/sim/...` for whoever directs the simulation."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec
from uvicorn.protocols.utils import ClientDisconnected

from simulator.connection import BANNER, Send
from simulator.control import Control, OrderError
from simulator.faults import PLAIN
from simulator.hub import Hub
from simulator.info import BadRequestError, InfoSource, decode
from simulator.weights import WeightLog, row_weight
from simulator.wire import encode

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
MAX_BODY = 1_000_000
UNPROCESSABLE = b"Failed to deserialize the JSON body into the target type"
BAD_GATEWAY = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n</html>\r\n"
BROKEN = {429: (b"null", b"application/json"), 500: (b"null", b"application/json")}


class App:
    """Routes requests; holds the weight log of every IP."""

    def __init__(
        self, hub: Hub, info: InfoSource, control: Control, now: Callable[[], float]
    ) -> None:
        self._hub = hub
        self._info = info
        self._control = control
        self._now = now
        self.weights: dict[str, WeightLog] = {}
        self._requests = 0
        control.weights = self.weights

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or one WebSocket."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["path"] == "/info":
            await self._answer_info(scope, receive, send)
        elif scope["path"].startswith("/sim/"):
            await self._answer_control(scope, receive, send)
        else:
            await _respond(send, 404, b"Not Found", b"text/plain")

    # -- /ws ----------------------------------------------------------------------------------

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        transport = _transport(scope)
        if scope["path"] != "/ws":
            await send({"type": "websocket.close", "code": 1000})
            return
        faults, refusal = self._hub.faults, self._hub.refusal(scope["client"][0])
        if faults.refuse_connections and transport is not None:
            transport.abort()
            raise ClientDisconnected
        if faults.connect_status:
            await _refuse(send, faults.connect_status, BAD_GATEWAY, b"text/html")
            return
        if refusal is not None:
            await _refuse(send, 429, b"Too Many Requests", b"text/plain")
            return
        await send({"type": "websocket.accept"})
        if faults.close_connections:
            await send({"type": "websocket.close", "code": faults.drop_code})
            return
        connection = self._hub.add(scope["client"][0], transport)
        connection.say(BANNER)
        writer = asyncio.create_task(connection.pump(send))
        try:
            while True:
                await connection.readable.wait()
                message = await receive()
                if message["type"] == "websocket.disconnect":
                    return
                await connection.readable.wait()
                connection.handle(message.get("text") or "")
        finally:
            self._hub.remove(connection)
            scope["state"]["transports"].pop(tuple(scope["client"]), None)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await writer

    # -- /info --------------------------------------------------------------------------------

    def weight_log(self, ip: str) -> WeightLog:
        """The log of an IP."""
        if ip not in self.weights:
            self.weights[ip] = WeightLog(self._hub.limits.weight_per_minute, self._now)
        return self.weights[ip]

    async def _answer_info(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        if scope["method"] != "POST":
            await _respond(send, 405, b"", b"text/plain")
            return
        faults = self._hub.faults
        try:
            request: dict[str, Any] = decode(body)
        except BadRequestError:
            request = {"type": ""}
        self._requests += 1
        struck = faults.hits_request(self._requests, str(request.get("user", "")).lower())
        if struck and faults.rest_refuse:
            transport = _transport(scope)
            if transport is not None:
                transport.abort()
            await receive()
            return
        status, reply, kind = self._reply(scope["client"][0], request, struck=struck)
        if struck and faults.rest_slow_seconds:
            await asyncio.sleep(faults.rest_slow_seconds)
        if struck and faults.rest_truncated:
            reply = reply[: len(reply) // 2]
        await _respond(send, status, reply, kind)

    def _reply(self, ip: str, request: dict[str, Any], *, struck: bool) -> tuple[int, bytes, bytes]:
        faults = self._hub.faults
        log = self.weight_log(ip)
        arrival = log.arrive(request["type"])
        if arrival.refused:
            return 429, *BROKEN[429]
        if struck and faults.rest_status:
            return faults.rest_status, *BROKEN.get(faults.rest_status, (BAD_GATEWAY, b"text/html"))
        try:
            reply = self._info.info(request, faults.view(self._requests) if struck else PLAIN)
        except BadRequestError:
            return 422, UNPROCESSABLE, b"text/plain; charset=utf-8"
        if isinstance(reply, list):
            log.add(arrival, row_weight(request["type"], len(reply)))
        return 200, encode(reply), b"application/json"

    # -- /sim ---------------------------------------------------------------------------------

    async def _answer_control(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = {k: v[-1] for k, v in parse_qs(scope["query_string"].decode()).items()}
        body = await _body(receive)
        try:
            reply = self._control.answer(scope["method"], scope["path"], query, body)
            status = 200
        except OrderError as exc:
            reply, status = {"error": str(exc)}, 400
        except (msgspec.MsgspecError, LookupError) as exc:
            reply, status = {"error": str(exc)}, 400
        await _respond(send, status, encode(reply), b"application/json")


def _transport(scope: Scope) -> asyncio.Transport | None:
    """The TCP connection of a request, which the HTTP protocol has registered."""
    transports: dict[tuple[str, int], asyncio.Transport] = scope["state"]["transports"]
    return transports.get(tuple(scope["client"]))


async def _body(receive: Receive) -> bytes:
    body = b""
    more = True
    while more and len(body) < MAX_BODY:
        message = await receive()
        body += message.get("body", b"")
        more = bool(message.get("more_body"))
    return body


async def _respond(send: Send, status: int, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refuse(send: Send, status: int, body: bytes, kind: bytes) -> None:
    headers = [(b"content-type", kind)]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
