"""How often one client may read and try to log in; its headers do not help it."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from web import limits

OPEN = {"host": "192.0.2.1", "public_read": True}


def somebody() -> str:
    """Return an address that nobody has used."""
    return ".".join(["10", *(str(part) for part in secrets.token_bytes(3))])


@pytest.fixture
def configure(settings):
    """Change the configuration."""
    settings.ALLOWED_HOSTS = ["testserver"]

    def change(**values):
        settings.CONFIGURATION = msgspec.structs.replace(settings.CONFIGURATION, **values)

    return change


@pytest.fixture
def few_reads(monkeypatch):
    monkeypatch.setattr(limits, "READS", 3)
    return 3


def test_many_at_once_get_exactly_what_is_allowed(services):
    who = somebody()
    with ThreadPoolExecutor(16) as threads:
        waits = list(threads.map(lambda _: limits.wait_seconds("test", 20, who), range(80)))

    assert waits.count(0) == 20
    assert set(waits) <= {0, *range(55, 61)}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/traders", "/api/v1/events", "/", "/health/ready"])
def test_an_anonymous_reader_of_an_open_server_is_told_when_to_come_back(
    client, configure, few_reads, services, path
):
    configure(**OPEN)
    who = somebody()
    answers = [client.get(path, REMOTE_ADDR=who) for _ in range(few_reads + 1)]

    assert 429 not in {each.status_code for each in answers[:-1]}
    assert answers[-1].status_code == 429
    assert answers[-1].json()["error"]["code"] == "throttled"
    assert 1 <= int(answers[-1]["Retry-After"]) <= 60
    assert client.get(path, REMOTE_ADDR=somebody()).status_code != 429
    assert client.get("/health", REMOTE_ADDR=who).status_code == 200


@pytest.mark.django_db
def test_whoever_is_known_and_whoever_is_here_reads_without_limit(
    client, configure, few_reads, services, django_user_model
):
    who = somebody()
    for _ in range(few_reads + 1):
        assert client.get("/traders", REMOTE_ADDR=who).status_code == 200
    configure(**OPEN)
    client.force_login(django_user_model.objects.create_user("anna"))
    for _ in range(few_reads + 1):
        assert client.get("/traders", REMOTE_ADDR=who).status_code == 200


def test_a_forged_header_makes_nobody_somebody_else(configure):
    for forged in ("", "10.9.9.9", "10.9.9.9, 10.8.8.8", "rubbish", "," * 50):
        assert limits.client_address("192.0.2.7", forged) == "192.0.2.7"

    configure(num_proxies=1)
    assert limits.client_address("127.0.0.1", "10.9.9.9, 203.0.113.5") == "203.0.113.5"
    assert limits.client_address("127.0.0.1", "203.0.113.5") == "203.0.113.5"
    configure(num_proxies=2)
    forwarded = "10.9.9.9, 203.0.113.5, 198.51.100.2"
    assert limits.client_address("127.0.0.1", forwarded) == "203.0.113.5"


def test_one_network_of_ipv6_is_one_client():
    first, second = limits.client_address("2001:db8::1"), limits.client_address("2001:db8::2:9")
    assert first == second == "2001:db8::/64"
    assert limits.client_address("2001:db8:0:1::1") != first
    assert limits.client_address("::ffff:192.0.2.1") == "::ffff:192.0.2.1"


@pytest.mark.django_db
def test_readers_are_let_in_where_nobody_can_count(client, configure, settings):
    configure(**OPEN)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    assert client.get("/traders", REMOTE_ADDR=somebody()).status_code == 200


def attempt(client, who, name="anna", password="wrong", **headers):
    values = {"username": name, "password": password}
    return client.post("/admin/login/", values, REMOTE_ADDR=who, headers=headers)


@pytest.mark.django_db
def test_the_sixth_attempt_in_a_minute_is_refused_even_with_the_right_password(
    client, services, django_user_model
):
    django_user_model.objects.create_superuser("anna", password="right")
    who = somebody()
    for number in range(5):
        answer = attempt(client, who, **{"x-forwarded-for": f"10.0.0.{number}"})
        assert answer.status_code == 200

    refused = attempt(client, who, " ANNA ", "right")

    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert "Too many attempts" in refused.content.decode()
    assert attempt(client, who, "bob").status_code == 200
    assert attempt(client, somebody(), "anna", "right").status_code == 302


@pytest.mark.django_db
def test_an_address_cannot_go_through_all_names(client, services):
    who = somebody()
    answers = [attempt(client, who, f"user{n}").status_code for n in range(31)]

    assert answers == [200] * 30 + [429]


@pytest.mark.django_db
def test_nobody_logs_in_where_nobody_can_count(client, settings, django_user_model):
    django_user_model.objects.create_superuser("anna", password="right")
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    refused = attempt(client, somebody(), password="right")

    assert refused.status_code == 503
    assert "Retry-After" in refused
    assert client.get("/admin/login/").status_code == 200
