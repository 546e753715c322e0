"""What the API refuses, and how: always the one error shape, never a 500."""

from __future__ import annotations

from itertools import product
from urllib.parse import quote

import msgspec
import pytest
from django.test import Client

from tests.traders.book import add_events, add_trader

pytestmark = pytest.mark.django_db
LISTS = ["/traders", "/traders/1/events", "/api/v1/events", f"/api/v1/traders/0x{'0' * 39}1"]
PARAMETERS = ["limit", "offset", "search", "kind", "coin", "cursor", "after", "trader"]
ODD = [str(10**30), "-1", "\x00", "0x\x00", "\ud800", "٣", "é" * 300, "1e5", "'; DROP", "%s", "NaN"]


def error(response):
    content = response.json()
    assert set(content) == {"error"}
    assert set(content["error"]) == {"code", "message"}
    return content["error"]


def encoded(text):
    return quote(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("path", LISTS)
def test_an_unknown_parameter_is_refused_and_the_known_are_named(client, path):
    add_trader()

    response = client.get(f"{path}?limt=5")

    assert response.status_code == 400
    assert "unknown parameter 'limt'" in error(response)["message"]
    assert client.get(f"{path}?format=xml").status_code == 400


@pytest.mark.parametrize("query", ["kind=", "coin=", "trader=", "limit=", "kind=OPEN&kind=CLOSE"])
def test_a_parameter_that_is_empty_or_given_twice_is_no_missing_filter(client, query):
    response = client.get(f"/api/v1/events?{query}")

    assert response.status_code == 400
    assert error(response)["message"].startswith(query.partition("=")[0])


@pytest.mark.parametrize("path", [*LISTS, "/api/schema", "/api/docs"])
def test_a_method_that_asks_what_is_possible_is_refused_like_any_other(client, path):
    response = client.options(path)

    assert response.status_code == 405
    assert error(response)["code"] == "method_not_allowed"


def test_a_refusal_names_what_is_allowed(client):
    response = client.get("/api/v1/events?kind=SELL")
    assert error(response) == {
        "code": "invalid",
        "message": "kind: 'SELL' is not one of OPEN, INCREASE, DECREASE, CLOSE.",
    }
    assert "500" in error(client.get("/traders?limit=501"))["message"]
    assert "100000" in error(client.get("/traders?offset=100001"))["message"]
    assert "40 hex digits" in error(client.get("/api/v1/events?trader=bob"))["message"]


@pytest.mark.parametrize("name", PARAMETERS)
def test_odd_values_are_refused_or_find_nothing(client, name):
    add_events(add_trader())

    for path, value in product(LISTS, ODD):
        response = client.get(f"{path}?{name}={encoded(value)}")
        assert response.status_code in {200, 400, 404}, (path, value)
        if response.status_code != 200:
            error(response)


@pytest.mark.parametrize("value", [*ODD, "0x12", "0x" + "g" * 40])
@pytest.mark.parametrize("path", ["/traders/{}/events", "/api/v1/traders/{}"])
def test_a_trader_that_cannot_be_is_not_found(client, path, value):
    response = client.get(path.format(encoded(value)))

    assert response.status_code == 404
    assert error(response)["code"] == "not_found"


def test_an_invented_cursor_is_not_found(client):
    trader = add_trader()
    for text in ("cD1hYmM=", "cD0lMDA=", "x", "cD05OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"):
        response = client.get(f"/traders/{trader.pk}/events", {"cursor": text})
        assert response.status_code == 404
        assert error(response)["code"] == "not_found"


@pytest.mark.parametrize("path", LISTS)
def test_only_reading_is_allowed(client, path):
    for method in ("post", "put", "patch", "delete"):
        response = getattr(client, method)(path)
        assert response.status_code == 405
        assert error(response)["code"] == "method_not_allowed"


def test_a_format_that_nobody_speaks_is_refused(client):
    response = client.get("/traders", headers={"accept": "application/xml"})

    assert response.status_code == 406
    error(response)


def test_where_others_can_reach_the_server_reading_needs_a_login(
    client, settings, django_user_model
):
    settings.CONFIGURATION = msgspec.structs.replace(settings.CONFIGURATION, host="192.0.2.1")
    for path in LISTS:
        response = client.get(path)
        assert response.status_code in {401, 403}
        assert error(response)["code"] == "not_authenticated"

    client.force_login(django_user_model.objects.create_user("anna"))
    assert client.get("/traders").status_code == 200


def test_what_nobody_foresaw_is_an_error_without_details(monkeypatch):
    monkeypatch.setattr("traders.reading.number_of_traders", lambda: 1 / 0)

    response = Client(raise_request_exception=False).get("/traders")

    assert response.status_code == 500
    assert error(response)["code"] == "server_error"
