"""Repeats an answer of the leaderboard for a second, before Django (decision 0016).

Only what Django itself has just told an anonymous reader, under the same Host and the same URL, and
only where reading needs no login: a cookie, a token or another wish goes the full way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from leaderboard import cache

PATHS = frozenset({"/api/v1/leaderboard", "/leaderboard"})
SECONDS = 1.0
MOST_BYTES = 16 * 1024 * 1024
# With any of these an answer may be another one.
PERSONAL = frozenset({b"cookie", b"authorization", b"range"})
JSON = (b"*/*", b"application/json")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]
Key = tuple[str, bytes, str, bytes]


@dataclass(slots=True)
class Answer:
    """What Django said, ready to be sent, and until when it is believed."""

    start: Message
    body: Message
    unchanged: Message
    etag: bytes
    until: float


class Shortcut:
    """Lets one request in a second through to the application; the others get its answer."""

    def __init__(
        self,
        application: Application,
        *,
        most_bytes: int = MOST_BYTES,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is remembered yet."""
        self._application = application
        self._most_bytes = most_bytes
        self._now = now
        self._answers: dict[Key, Answer] = {}
        self._bytes = 0
        self._repeated = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer, or let the application do it and listen."""
        if scope["path"] not in PATHS or scope["method"] != "GET":
            await self._application(scope, receive, send)
            return
        key, etag = asked(scope)
        if key is None or settings.CONFIGURATION.read_needs_login:
            await self._application(scope, receive, send)
            return
        answer = self._answers.get(key)
        now = self._now()
        if answer is not None and now < answer.until:
            self._repeated += 1
            if answer.etag in etag:
                await send(answer.unchanged)
                await send({"type": "http.response.body"})
            else:
                await send(answer.start)
                await send(answer.body)
            return
        if answer is not None:
            answer.until = now + SECONDS  # for the others, while this request asks anew
        await self._ask(key, scope, receive, send)

    async def _ask(self, key: Key, scope: Message, receive: Receive, send: Send) -> None:
        """Pass the application's answer on, and remember it if anybody may have it."""
        start: Message = {}
        chunks: list[bytes] = []

        async def listen(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                chunks.append(message.get("body", b""))
            await send(message)

        # Asked without the tag, or the answer would be 304 and nothing to repeat.
        plain = [pair for pair in scope["headers"] if pair[0] != b"if-none-match"]
        await self._application({**scope, "headers": plain}, receive, listen)
        self._remember(key, start, b"".join(chunks))
        if self._repeated:
            repeated, self._repeated = self._repeated, 0
            await asyncio.to_thread(cache.count, "hits", repeated)

    def _remember(self, key: Key, start: Message, body: bytes) -> None:
        known = {name.lower(): value for name, value in start.get("headers", ())}
        old = self._answers.pop(key, None)
        if old is not None:
            self._bytes -= len(old.body["body"])
        if start.get("status") != 200 or b"set-cookie" in known or b"etag" not in known:
            return
        if self._bytes + len(body) > self._most_bytes:
            self._answers.clear()
            self._bytes = 0
        self._bytes += len(body)
        bodiless = [
            pair
            for pair in start["headers"]
            if pair[0].lower() not in {b"content-type", b"content-length"}
        ]
        self._answers[key] = Answer(
            start={"type": "http.response.start", "status": 200, "headers": start["headers"]},
            body={"type": "http.response.body", "body": body},
            unchanged={"type": "http.response.start", "status": 304, "headers": bodiless},
            etag=known[b"etag"],
            until=self._now() + SECONDS,
        )


def asked(scope: Message) -> tuple[Key | None, bytes]:
    """Return what decides about the answer, None if it may be personal, and the reader's tags.

    The Host is part of it: Django has looked at the same one when it gave the answer.
    """
    host, accept, etag = b"", b"*/*", b""
    for name, value in scope["headers"]:
        if name in PERSONAL:
            return None, b""
        if name == b"host":
            host = value
        elif name == b"accept":
            accept = value
        elif name == b"if-none-match":
            etag = value
    if not any(kind in accept for kind in JSON):
        return None, b""
    return (scope["scheme"], host, scope["path"], scope["query_string"]), etag
