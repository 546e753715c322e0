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
        self._configuration: object = None
        self._needs_login = True
        self._answers: dict[Key, Answer] = {}
        self._bytes = 0
        self._repeated = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer, or let the application do it and listen."""
        if scope.get("path") not in PATHS or scope.get("method") != "GET":
            await self._application(scope, receive, send)
            return
        key, etag = asked(scope)
        if key is None or self._closed():
            await self._application(scope, receive, send)
            return
        answer = self._answers.get(key)
        now = self._now()
        if answer is not None and now < answer.until:
            self._repeated += 1
            await repeat(answer, etag, send)
            return
        if answer is not None:
            answer.until = now + SECONDS  # for the others, while this request asks anew
        await self._ask(key, etag, scope, receive, send)

    def _closed(self) -> bool:
        """Return whether reading needs a login: asked of each configuration once."""
        configuration = settings.CONFIGURATION
        if configuration is not self._configuration:
            self._configuration = configuration
            self._needs_login = configuration.read_needs_login
        return self._needs_login

    async def _ask(
        self, key: Key, etag: bytes, scope: Message, receive: Receive, send: Send
    ) -> None:
        """Pass the application's answer on, and remember it if anybody may have it."""
        heard: list[Message] = []

        async def listen(message: Message) -> None:
            heard.append(message)

        # Asked without the tag, or the answer would be 304 and nothing to repeat.
        plain = [pair for pair in scope["headers"] if pair[0] != b"if-none-match"]
        await self._application({**scope, "headers": plain}, receive, listen)
        body = b"".join(message.get("body", b"") for message in heard[1:])
        answer = self._remember(key, heard[0] if heard else {}, body)
        if answer is not None:
            await repeat(answer, etag, send)
        else:
            for message in heard:
                await send(message)
        if self._repeated:
            repeated, self._repeated = self._repeated, 0
            await asyncio.to_thread(cache.count, "hits", repeated)

    def _remember(self, key: Key, start: Message, body: bytes) -> Answer | None:
        known = {name.lower(): value for name, value in start.get("headers", ())}
        old = self._answers.pop(key, None)
        if old is not None:
            self._bytes -= len(old.body["body"])
        if start.get("status") != 200 or b"set-cookie" in known or b"etag" not in known:
            return None
        if self._bytes + len(body) > self._most_bytes:
            self._answers.clear()
            self._bytes = 0
        self._bytes += len(body)
        bodiless = [
            pair
            for pair in start["headers"]
            if pair[0].lower() not in {b"content-type", b"content-length"}
        ]
        answer = self._answers[key] = Answer(
            start={"type": "http.response.start", "status": 200, "headers": start["headers"]},
            body={"type": "http.response.body", "body": body},
            unchanged={"type": "http.response.start", "status": 304, "headers": bodiless},
            etag=known[b"etag"],
            until=self._now() + SECONDS,
        )
        return answer


async def repeat(answer: Answer, etag: bytes, send: Send) -> None:
    """Send the answer, or 304 to who has it."""
    if answer.etag in etag:
        await send(answer.unchanged)
        await send({"type": "http.response.body"})
    else:
        await send(answer.start)
        await send(answer.body)


def asked(scope: Message) -> tuple[Key | None, bytes]:
    """Return what decides about the answer, None if it may be personal, and the reader's tags.

    The Host is part of it: Django has looked at the same one when it gave the answer.
    """
    headers = dict(scope["headers"])
    accept = headers.get(b"accept", b"*/*")
    if not PERSONAL.isdisjoint(headers) or not (b"*/*" in accept or b"application/json" in accept):
        return None, b""
    key = (scope["scheme"], headers.get(b"host", b""), scope["path"], scope["query_string"])
    return key, headers.get(b"if-none-match", b"")
