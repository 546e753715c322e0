"""docs/api.md has every route, every error code and every frame, and its examples are JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from web import push
from web.consumers import POLICY, TOO_BIG, TRY_AGAIN_LATER
from web.hub import STALLED
from web.routing import routes

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


def paths(resolver: URLResolver, before: str = "/"):
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield re.sub(r"<\w+:(\w+)>", "{}", route)
        elif route != "/admin/":
            yield from paths(entry, route)


def test_every_url_of_the_project_is_documented():
    documented = {re.sub(r"{[^}]*}", "{}", path) for path in re.findall(r"`GET (/[^`?]*)`", TEXT)}
    assert set(paths(get_resolver())) <= documented
    assert [str(route.pattern) for route in routes] == ["ws/v1/updates"]
    assert "`WebSocket /ws/v1/updates`" in TEXT


def test_every_frame_and_close_code_is_documented():
    frames = {"connection", "trade_event", "heartbeat", "reset", "pong", "error", "ping"}
    source = Path(push.__file__).read_text()
    assert set(re.findall(r'"type": "(\w+)"', source)) <= frames
    for name in frames:
        assert f'"type": "{name}"' in TEXT
    for reason in re.findall(r'Start\(log.head, "(\w+)"\)', source):
        assert f"`{reason}`" in TEXT
    for code in (POLICY, TOO_BIG, TRY_AGAIN_LATER, STALLED):
        assert str(code) in TEXT


@pytest.mark.parametrize("example", re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL))
def test_every_example_is_json(example):
    assert json.loads(example)
