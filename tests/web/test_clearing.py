"""Clearing the leaderboard's cache: who may, from where, and what goes."""

from __future__ import annotations

import time

import pytest
from django.contrib.auth.models import User

from leaderboard import cache
from tests.leaderboard.conftest import pages as pages  # noqa: PLC0414 (a fixture of that package)
from web import tokens

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("pages")]
URL = "/api/v1/cache/clear"


@pytest.fixture
def operator():
    return {"authorization": f"Bearer {tokens.create('tests')}"}


@pytest.fixture
def staff(client):
    client.force_login(User.objects.create_user("boss", is_staff=True))
    return client


def fill():
    cache.page("a", lambda: cache.Page(b"x", '"1"', time.time()))


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_operator_clears_with_the_token(client, operator, method):
    fill()

    answer = getattr(client, method)(URL, headers=operator)

    assert answer.json() == {"message": "Cleared 1 cache entries", "cleared": 1}
    assert answer["Cache-Control"] == "no-store"


def test_staff_clear_by_post_only(staff):
    fill()

    assert staff.get(URL).status_code == 403
    assert staff.post(URL).json()["cleared"] == 1


def test_a_session_by_post_needs_the_token_of_our_own_form(staff):
    staff.handler.enforce_csrf_checks = True

    assert staff.post(URL).status_code == 403


@pytest.mark.parametrize(
    "said",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://elsewhere.example"},
        {"origin": "http://testserver:81"},
        {"origin": "null"},
    ],
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_another_site_is_refused_whoever_asks(client, operator, method, said):
    fill()

    answer = getattr(client, method)(URL, headers=operator | said)

    assert answer.status_code == 403
    assert cache.clear() == 1


def test_a_page_of_our_own_is_not(client, operator):
    own = {"sec-fetch-site": "same-origin", "origin": "http://testserver"}

    assert client.post(URL, headers=operator | own).status_code == 200


def test_strangers_may_not_clear(client):
    fill()

    assert client.get(URL).status_code in {401, 403}
    assert client.post(URL).status_code in {401, 403}
    assert cache.clear() == 1


def test_who_only_looks_changes_nothing(client, operator):
    fill()

    assert client.head(URL, headers=operator).status_code == 200
    assert cache.clear() == 1


def test_without_redis_it_says_so(client, operator):
    cache._health.rests_until = time.monotonic() + 60

    answer = client.post(URL, headers=operator)

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "cache_away")
