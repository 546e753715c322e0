"""The root, the pages and health, without a browser."""

from __future__ import annotations

import msgspec
import pytest
from django.test import Client

from tests.traders.book import address
from web.headers import POLICY
from web.health import look

HTML = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def opened(settings):
    settings.CONFIGURATION = msgspec.structs.replace(settings.CONFIGURATION, host="192.0.2.1")


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html;q=0.5, */*", "", "odd"])
def test_the_root_is_a_message_unless_a_page_is_preferred(client, accept):
    response = client.get("/", headers={"accept": accept})

    assert response["Content-Type"] == "application/json"
    assert response["Vary"] == "Accept"
    assert response.json()["message"].startswith("hlcopy is running")


def test_a_browser_gets_the_dashboard(client):
    response = client.get("/", headers=HTML)

    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert "<title>hlcopy: every trader" in response.content.decode()


@pytest.mark.parametrize("path", ["/", f"/traders/{address(1)}", "/health", "/nowhere"])
def test_every_answer_has_the_strict_policy_and_no_page_has_inline_code(client, path):
    response = client.get(path, headers=HTML)

    assert response["Content-Security-Policy"] == POLICY
    text = response.content.decode()
    assert "unsafe" not in POLICY
    assert text.count("<script") == text.count('<script type="module" src="')
    for inline in ("<style", " style=", " onclick", "javascript:"):
        assert inline not in text


def test_the_page_of_a_trader_is_for_addresses_only(client):
    assert address(1) in client.get(f"/traders/{address(1)}", headers=HTML).content.decode()
    for text in ("1", "0x12", "%00", "0x" + "%F0%9F" * 10, "9" * 300):
        response = client.get(f"/traders/{text}", headers=HTML)
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("path", ["/", "/health", f"/traders/{address(1)}"])
def test_what_only_reads_refuses_a_foreign_post_as_it_refuses_everything(path):
    response = Client(enforce_csrf_checks=True).post(path, {"a": 1})

    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")
    assert response.json()["error"]["code"] == "method_not_allowed"


def test_a_recording_is_not_called_invented(client, settings):
    both = msgspec.structs.replace(settings.CONFIGURATION, hlcopy_demo=True, hlcopy_replay=True)
    settings.CONFIGURATION = both
    page = client.get("/", headers=HTML).content.decode()

    assert "A recorded piece of the exchange's feed" in page
    assert "invented" not in page


def test_alive_asks_nobody(client):
    response = client.get("/health")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/", "/health", "/health/ready", f"/traders/{address(1)}"])
def test_pages_are_only_read(client, path):
    response = client.post(path)

    assert response.status_code == 405
    assert response["Allow"] == "GET, HEAD"
    assert response.json()["error"]["code"] == "method_not_allowed"


def test_a_path_that_leads_nowhere_and_a_strange_host_are_errors_of_the_same_shape(client):
    for path in ("/nowhere", "/traders/", "/api/v1", "/%00", "/health/"):
        response = client.get(path)
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "not_found"
    response = client.get("/", headers={"host": "evil.example"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_request")


def test_an_open_server_sends_browsers_to_the_login_and_refuses_the_rest(client, settings):
    opened(settings)
    settings.ALLOWED_HOSTS = ["testserver"]

    for path in ("/", f"/traders/{address(1)}", "/health/ready"):
        page = client.get(path, headers=HTML)
        assert (page.status_code, page["Location"]) == (302, f"/admin/login/?next={path}")
        refused = client.get(path)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "not_authenticated")
    assert client.get("/health").status_code == 200


@pytest.mark.django_db
def test_an_open_server_shows_its_pages_after_a_login(client, settings, django_user_model):
    opened(settings)
    client.force_login(django_user_model.objects.create_user("anna"))

    assert client.get("/", headers=HTML).status_code == 200


async def test_it_is_not_ready_without_postgresql_and_says_so_at_once(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    database = settings.DATABASES["default"]
    before = database["PORT"]
    database["PORT"] = 1
    try:
        status, content = await look()
    finally:
        database["PORT"] = before

    assert status == 503
    assert content["status"] == "unavailable"
    assert content["database"] == {"connected": False, "migrated": None}
    assert content["redis"] == {"connected": False}
    assert (content["feed"], content["tracking"]) == (None, None)
