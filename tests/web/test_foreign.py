"""What a page of another site, a foreign name for this server, and a strange form get: nothing."""

from __future__ import annotations

import time

import pytest
from django.core.management import call_command
from django.test import Client
from websockets.exceptions import InvalidStatus

from leaderboard import cache
from web import tokens

CLEAR = "/api/v1/cache/clear"
HEADERS = {
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Referrer-Policy",
    "Cross-Origin-Opener-Policy",
}


def test_django_finds_nothing_to_complain_about_before_a_deployment():
    call_command("check", deploy=True, fail_level="WARNING")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/health", 200),
        ("/traders", 200),
        ("/traders?x=1", 400),
        ("/nowhere", 404),
        ("/static/web/hlcopy.css", 200),
        ("/static/nothing.css", 404),
        ("/admin/login/", 200),
    ],
)
def test_every_answer_has_the_security_headers(client, path, status):
    response = client.get(path)
    response.close()  # a file

    assert response.status_code == status
    assert set(response.headers) >= HEADERS


@pytest.mark.django_db
def test_a_foreign_name_for_this_server_is_refused_everywhere(client):
    for path in ("/", "/health", "/traders", "/admin/login/", CLEAR):
        response = client.get(path, headers={"host": "evil.example"})
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "bad_request"
        assert set(response.headers) >= HEADERS


@pytest.fixture
def full_cache(services):
    """A cache with one page in it."""
    cache.clear()
    cache.page("board:test", lambda: cache.Page(b"{}", '"1"', time.time()))


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_foreign_page_clears_no_cache_whoever_looks_at_it(
    full_cache, django_user_model, method, site
):
    staff = Client(enforce_csrf_checks=True)
    staff.force_login(django_user_model.objects.create_superuser("anna"))
    token = tokens.create("bob")

    for headers in (
        {"sec-fetch-site": site, "origin": "http://evil.example"},
        {"origin": "http://evil.example"},  # an old browser
        {"sec-fetch-site": site, "authorization": f"Bearer {token}"},
    ):
        response = getattr(staff, method)(CLEAR, headers=headers)
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "permission_denied"
    assert cache.clear() == 1


@pytest.mark.django_db
def test_an_operator_clears_the_cache(full_cache):
    token = tokens.create("bob")

    response = Client(enforce_csrf_checks=True).post(
        CLEAR, headers={"authorization": f"Bearer {token}"}
    )

    assert response.json()["cleared"] == 1
    assert cache.clear() == 0


@pytest.mark.django_db
def test_a_form_that_was_not_made_here_is_an_error_of_our_shape():
    response = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "anna"})

    assert response.status_code == 403
    assert response.json()["error"]["code"] == "permission_denied"


def test_a_foreign_page_opens_no_socket(server):
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "file://"}):
        with pytest.raises(InvalidStatus) as refused, server.listen(additional_headers=headers):
            pass
        assert refused.value.response.status_code == 403
