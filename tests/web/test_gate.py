"""What stands before a WebSocket: origin, login, and the number of sockets."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from web import gate
from web.hub import hub
from web.origin import same_origin

HEADERS = [(b"host", b"127.0.0.1:8000")]


async def knock(*, extensions: dict[str, Any] | None = None, headers=HEADERS):
    """Knock at the gate; return what it sent, and whether it let us in."""
    inside: list[str] = []
    sent: list[Any] = []

    async def application(scope, receive, send):
        inside.append(scope["path"])

    async def send(message):
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/ws/v1/updates",
        "headers": headers,
        "query_string": b"",
        "extensions": {"websocket.http.response": {}} if extensions is None else extensions,
    }
    await gate.gate(application)(scope, None, send)  # type: ignore[arg-type]  # nothing is received
    return sent, bool(inside)


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "localhost:8000", True),
        (None, "evil.example", False),
        (None, "", False),
        ("http://localhost:8000", "localhost:8000", True),
        ("http://LOCALHOST:8000", "localhost:8000", True),
        ("https://localhost", "localhost", True),
        ("https://localhost", "localhost:443", True),
        ("http://localhost:80", "localhost", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://localhost:3000", "localhost:8000", False),
        ("http://127.0.0.1:8000", "localhost:8000", False),
        ("http://localhost:8000.evil.example", "localhost:8000", False),
        ("http://localhost:8000@evil.example", "localhost:8000", False),
        ("ftp://localhost:8000", "localhost:8000", False),
        ("null", "localhost:8000", False),
        ("", "localhost:8000", False),
    ],
)
def test_only_our_own_pages_and_programs_may_listen(origin, host, allowed):
    assert same_origin(origin, host) is allowed


async def test_who_may_listen_comes_in():
    assert await knock() == ([], True)


async def test_an_open_server_lets_nobody_listen_without_a_login(settings):
    settings.CONFIGURATION = msgspec.structs.replace(settings.CONFIGURATION, host="192.0.2.1")

    sent, inside = await knock()

    assert not inside
    assert sent[0]["status"] == 401
    assert json.loads(sent[1]["body"])["error"]["code"] == "not_authenticated"


async def test_a_process_that_is_full_says_so(settings, monkeypatch):
    monkeypatch.setattr(gate, "MAX_SOCKETS", hub().sockets)

    sent, inside = await knock()

    assert not inside
    assert sent[0]["status"] == 503


async def test_where_the_server_knows_no_refusal_the_handshake_is_closed():
    sent, inside = await knock(extensions={}, headers=[(b"host", b"evil.example")])

    assert (sent, inside) == ([{"type": "websocket.close"}], False)
