"""The operator's token: shown once, kept as a digest, good for reading and operating."""

from __future__ import annotations

import logging
from datetime import timedelta

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from hlcopy.clock import utc_now
from web import tokens
from web.access import MayOperate
from web.models import ApiToken

pytestmark = pytest.mark.django_db


def bearer(token):
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def opened(settings):
    settings.CONFIGURATION = msgspec.structs.replace(settings.CONFIGURATION, host="192.0.2.1")
    settings.ALLOWED_HOSTS = ["testserver"]


def test_a_token_is_shown_once_and_kept_as_a_digest_only(capsys):
    call_command("createtoken")
    shown = capsys.readouterr().out.strip()

    row = ApiToken.objects.values().get()
    assert (row["name"], row["sha256"]) == ("operator", tokens.digest(shown))
    assert len(shown) >= 43
    assert shown not in str(row)


def test_a_new_token_of_the_same_name_ends_the_old_one():
    old, other = tokens.create("anna"), tokens.create("bob")
    new = tokens.create("anna")

    assert tokens.find(old) is None
    assert tokens.find(new) is not None
    assert tokens.find(other) is not None


def test_a_revoked_token_is_worth_nothing_and_a_second_revocation_says_so():
    token = tokens.create("anna")
    tokens.create("bob")

    call_command("createtoken", name="anna", revoke=True)

    assert tokens.find(token) is None
    with pytest.raises(CommandError, match="living: bob"):
        call_command("createtoken", name="anna", revoke=True)


@pytest.mark.parametrize("name", ["", "a" * 61, "a\nb"])
def test_a_name_that_cannot_be_printed_is_refused(name):
    with pytest.raises(CommandError, match="--name"):
        call_command("createtoken", name=name)


@pytest.mark.parametrize("path", ["/traders", "/health/ready", "/", "/api/v1/events"])
def test_where_reading_needs_a_login_a_token_will_do(client, opened, path):
    token = tokens.create("anna")

    assert client.get(path, headers=bearer(token)).status_code in {200, 503}
    for header in ({}, bearer(token + "x"), bearer("\x00"), {"authorization": "Basic YTpi"}):
        refused = client.get(path, headers=header)
        assert refused.status_code == 401
        assert refused["WWW-Authenticate"] == "Bearer"
        assert set(refused.json()["error"]) == {"code", "message"}


def test_its_use_is_written_once_a_minute(django_assert_num_queries):
    token = tokens.create("anna")
    tokens.find(token)
    first = ApiToken.objects.get().last_used_at
    assert first is not None

    with django_assert_num_queries(1):
        tokens.find(token)
    assert ApiToken.objects.get().last_used_at == first

    ApiToken.objects.update(last_used_at=utc_now() - timedelta(seconds=61))
    tokens.find(token)
    assert (ApiToken.objects.get().last_used_at or first) > first


def test_no_token_is_ever_logged(client, opened, caplog):
    caplog.set_level(logging.DEBUG)
    token = tokens.create("anna")

    client.get("/traders", headers=bearer(token))
    client.get("/traders", headers=bearer(token + "wrong"))

    assert token not in caplog.text
    assert token not in str([query["sql"] for query in connection.queries])


class Switch(APIView):
    """Something that only operators may do."""

    permission_classes = (MayOperate,)

    def get(self, request: Request) -> Response:
        """Do it."""
        return Response()

    post = get


@pytest.mark.parametrize(
    ("method", "who", "site", "status"),
    [
        ("get", "token", None, 200),
        ("post", "token", "same-origin", 200),
        ("post", "token", "cross-site", 403),
        ("get", "token", "same-site", 403),
        ("post", "staff", "same-origin", 200),
        ("get", "staff", "same-origin", 403),
        ("post", "staff", "cross-site", 403),
        ("post", "staff without csrf", "same-origin", 403),
        ("post", "user", None, 403),
        ("post", "nobody", None, 401),
        ("get", "nobody", None, 401),
    ],
)
def test_only_operators_operate_and_only_from_here(method, who, site, status, django_user_model):
    requests = APIRequestFactory(enforce_csrf_checks="csrf" in who)
    headers = bearer(tokens.create("anna")) if who == "token" else {}
    if site is not None:
        headers["sec-fetch-site"] = site
    request = getattr(requests, method)("/", headers=headers)
    if who.startswith(("staff", "user")):
        user = django_user_model.objects.create_user("bob", is_staff=who.startswith("staff"))
        request.user = user
    assert Switch.as_view()(request).status_code == status
