"""The OpenAPI document: whole, without a warning, with examples that fit, and a page that works."""

from __future__ import annotations

import re

import jsonschema
import pytest
from django.conf import settings
from django.core.management import call_command
from django.urls import URLPattern, get_resolver

from web.openapi.document import document
from web.openapi.examples import without_names

OPERATIONS = [
    pytest.param(operation, id=f"{method} {path}")
    for path, operations in document()["paths"].items()
    for method, operation in operations.items()
]


def paths(resolver, before="/"):
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield re.sub(r"<\w+:(\w+)>", "{}", route)
        elif route != "/admin/":
            yield from paths(entry, route)


def validate(instance, schema):
    root = {**schema, "components": document()["components"]}
    jsonschema.validate(instance, root, jsonschema.Draft202012Validator)


def test_the_document_is_valid_and_has_no_warning(tmp_path):
    call_command("spectacular", "--fail-on-warn", "--validate", file=str(tmp_path / "schema.yml"))


def test_every_route_is_described():
    described = {without_names(path) for path in document()["paths"]}
    assert set(paths(get_resolver())) - {"/admin/login/"} <= described


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_answer_has_a_shape_and_every_json_an_example_that_fits(operation):
    for status, response in operation["responses"].items():
        (content, *_) = response["content"].values()
        if status != "200":
            assert content["schema"]["$ref"].endswith(("/Error", "/Ready"))
    for media_type, content in operation["responses"]["200"]["content"].items():
        if media_type == "application/json" and operation["operationId"] != "get_api_schema":
            validate(content["example"], content["schema"])


def fields(schema):
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
    for part in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(part, dict | list):
            yield from fields(part)


def test_every_field_and_every_parameter_is_in_the_documentation():
    text = (settings.BASE_DIR / "docs" / "api.md").read_text()
    names = set(fields(document()["components"]["schemas"]))
    for operations in document()["paths"].values():
        for operation in operations.values():
            names |= {parameter["name"] for parameter in operation.get("parameters", ())}
    names -= {"trader", "address"}  # they are part of a path
    undocumented = {
        name for name in names if f'"{name}"' not in text and not re.search(rf"`{name}\b", text)
    }
    limited = {name for name in undocumented if name.startswith(("min_", "max_"))}
    assert {name[4:] for name in limited} <= {"closed_trips", "account_age_days", "win_rate"}
    assert undocumented == limited
    assert "the same of `closed_trips`, `account_age_days`, `win_rate`" in text


def test_lists_have_one_envelope():
    for name in ("TraderPage", "EventPage", "EventLog", "EquityPage", "Board"):
        required = document()["components"]["schemas"][name]["required"]
        assert required[:3] == ["count", "next", "previous"]
        assert required[-1] == "results"


@pytest.mark.django_db
def test_the_document_and_its_page_are_served_without_inline_code(client):
    assert client.get("/api/schema").json() == document()
    assert client.get("/api/schema?x=1").status_code == 400
    page = client.get("/api/docs")

    assert "script-src" not in page["Content-Security-Policy"]
    assert "unsafe" not in page["Content-Security-Policy"]
    assert "<style" not in page.content.decode()
    assert page.content.decode().count("<script") == page.content.decode().count("></script>") == 2
