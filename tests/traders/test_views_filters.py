"""Which traders a list shows, in which order, and what is refused as too slow."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection

from hlcopy.clock import utc_now
from tests.traders.book import add_position, add_snapshot, add_trader
from traders import reading
from traders.models import Ledger, Trader

pytestmark = pytest.mark.django_db
TRADERS = "/api/v1/traders"


@pytest.fixture
def cast():
    """Anna is rich and holds BTC, Bob was tracked last and holds nothing, Carl is unseen."""
    anna, bob, carl = add_trader(1), add_trader(2), add_trader(3)
    add_snapshot(anna, "5000")
    add_snapshot(bob, "20.5")
    Ledger.objects.filter(trader=anna).update(account_value=Decimal(5000))
    Ledger.objects.filter(trader=bob).update(account_value=Decimal("20.5"))
    add_position(anna, "BTC", "1")
    now = utc_now()
    Trader.objects.filter(pk=anna.pk).update(last_tracked_at=now - timedelta(hours=2))
    Trader.objects.filter(pk=bob.pk).update(last_tracked_at=now)
    Trader.objects.filter(pk=carl.pk).update(first_seen_at=now - timedelta(days=3))
    return {anna.pk: "anna", bob.pk: "bob", carl.pk: "carl"}


def ago(**duration):
    return (utc_now() - timedelta(**duration)).isoformat()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "anna bob carl"),
        ({"ordering": "-id"}, "carl bob anna"),
        ({"ordering": "last_tracked_at"}, "anna bob"),
        ({"ordering": "-last_tracked_at"}, "bob anna"),
        ({"ordering": "account_value"}, "bob anna"),
        ({"ordering": "-account_value"}, "anna bob"),
        ({"min_account_value": "20.5"}, "anna bob"),
        ({"min_account_value": "20.500001"}, "anna"),
        ({"has_positions": "true"}, "anna"),
        ({"has_positions": "false"}, "bob"),
        ({"coin": "BTC"}, "anna"),
        ({"coin": "ETH"}, ""),
        ({"first_seen_to": ago(days=1)}, "carl"),
        ({"first_seen_from": ago(days=1)}, "anna bob"),
        ({"last_tracked_from": ago(hours=1)}, "bob"),
        ({"last_tracked_to": ago(hours=1)}, "anna"),
        ({"coin": "BTC", "min_account_value": "6000"}, ""),
    ],
)
def test_a_list_shows_who_is_asked_for(client, cast, query, expected):
    answer = client.get(TRADERS, query).json()

    assert " ".join(cast[row["id"]] for row in answer["results"]) == expected
    assert answer["count"] == len(expected.split())


def test_who_has_an_unknown_position_is_not_known_to_hold_none(client, cast):
    Ledger.objects.filter(account_value=Decimal("20.5")).update(doubts={"ETH": {"floor": None}})

    assert client.get(TRADERS, {"has_positions": "false"}).json()["results"] == []


def test_pages_keep_the_filters_and_end(client):
    for number in range(1, 6):
        add_position(add_trader(number), "BTC", "1")

    first = client.get(f"{TRADERS}?coin=BTC&limit=2&ordering=-id").json()
    second = client.get(first["next"]).json()
    third = client.get(second["next"]).json()

    seen = [row["id"] for page in (first, second, third) for row in page["results"]]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 5
    assert (first["previous"], third["next"]) == (None, None)
    assert client.get(third["previous"]).json() == second


def test_a_count_that_costs_too_much_is_unknown(client, monkeypatch, cast):
    monkeypatch.setattr(reading, "COUNT_EXACTLY", 1)

    answer = client.get(f"{TRADERS}?min_account_value=1").json()

    assert answer["count"] is None
    assert len(answer["results"]) == 2


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ("ordering=address", "id, last_tracked_at, account_value, -id"),
        ("has_positions=maybe", "true, false"),
        ("min_account_value=NaN", "valid number"),
        ("min_account_value=1e400", "digits"),
        ("first_seen_from=yesterday", "YYYY-MM-DD"),
        ("last_tracked_to=1999-01-01", "between 2020 and 2100"),
        ("first_seen_to=9999-12-31T23:59:59-14:00", "between 2020 and 2100"),
    ],
)
def test_a_bad_filter_is_told_what_is_allowed(client, query, allowed):
    response = client.get(f"{TRADERS}?{query}")

    assert response.status_code == 400
    assert allowed in response.json()["error"]["message"]


def test_what_looks_through_too_much_is_refused(client, monkeypatch, cast):
    monkeypatch.setattr(reading, "ANSWER_WITHIN_MS", 50)
    monkeypatch.setattr(reading, "SUMMARIES", "SELECT pg_sleep(10), %s")

    response = client.get(TRADERS)

    assert response.status_code == 400
    assert response.json()["error"]["code"] == "too_slow"


def test_every_order_of_a_long_list_is_read_from_an_index(cast):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
    for name in reading.ORDERINGS:
        for sign in ("", "-"):
            plan = reading.traders({"ordering": sign + name})[:100].explain()
            assert "Index" in plan
            assert "Sort  (" not in plan, plan
