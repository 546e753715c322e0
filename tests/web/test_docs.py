"""docs/api.md has every route, every error code and every frame, and its examples are JSON."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from web import filters, push
from web.consumers import POLICY, TOO_BIG, TRY_AGAIN_LATER
from web.hub import DEFECT, STALLED
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


def test_every_frame_message_and_close_code_is_documented():
    sources = "".join(inspect.getsource(module) for module in (push, filters))
    frames = set(re.findall(r'"type": ?"(\w+)"', sources))
    asked = set(re.findall(r'kind == "(\w+)"', inspect.getsource(filters)))
    assert {"connection", "trade_event", "trade_events", "heartbeat", "subscribed"} <= frames
    assert asked == {"ping", "subscribe", "resume"}
    for name in frames | asked:
        assert f'"type": "{name}"' in TEXT
    for reason in re.findall(r'Start\(log.head, "(\w+)"\)', inspect.getsource(push)):
        assert f"`{reason}`" in TEXT
    for code in re.findall(r'BadMessageError\("(\w+)"', inspect.getsource(filters)):
        assert f"`{code}`" in TEXT
    for part in (*filters.SUBSCRIBE, *filters.RESUME):
        assert f'"{part}"' in TEXT
    for code in (POLICY, TOO_BIG, TRY_AGAIN_LATER, STALLED, DEFECT):
        assert str(code) in TEXT


def test_every_message_to_the_server_is_understood_as_documented():
    examples = re.findall(r'```json\n({"type": "(?:subscribe|resume)",.*?)```', TEXT, re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        filters.read(example)  # raises what it would answer


@pytest.mark.parametrize("example", re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL))
def test_every_example_is_json(example):
    assert json.loads(example)
