"""The HTTP API of traders and events, over real rows."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.traders.book import (
    STATE_MS,
    add_events,
    add_position,
    add_snapshot,
    add_trader,
    add_waiting_fill,
    address,
)
from traders.models import AccountSnapshot

pytestmark = pytest.mark.django_db
STATE_AT = "2025-10-09T08:53:20Z"


def test_it_lists_traders_with_what_is_known_of_them(client):
    tracked, unseen = add_trader(1), add_trader(2)
    add_snapshot(tracked, "1234.5000")
    add_position(tracked, "BTC", "-2")

    answer = client.get("/traders").json()

    assert answer["count"] == 2
    assert (answer["next"], answer["previous"]) == (None, None)
    first, second = answer["results"]
    assert (first["id"], first["address"]) == (tracked.pk, address(1))
    assert (first["account_value"], first["open_positions"]) == ("1234.5", 1)
    assert first["last_tracked_at"] == STATE_AT
    assert second["id"] == unseen.pk
    assert (second["account_value"], second["open_positions"]) == (None, None)


def test_the_account_value_is_the_newest_of_every_dex_or_unknown(client):
    both, half = add_trader(1, dexes=["", "xyz"]), add_trader(2, dexes=["", "xyz"])
    add_snapshot(both, "10", at_ms=STATE_MS - 1)
    add_snapshot(both, "11")
    add_snapshot(both, "0.5", dex="xyz")
    add_snapshot(half, "7")

    rows = client.get("/traders").json()["results"]

    assert [row["account_value"] for row in rows] == ["11.5", None]


def test_a_reply_without_money_that_waits_for_a_second_look_hides_no_account_value(client):
    trader = add_trader()
    add_snapshot(trader, "5")
    add_snapshot(trader, None, at_ms=STATE_MS + 1)
    bare = AccountSnapshot.objects.filter(account_value=None)
    bare.update(applied=False)
    assert client.get("/traders").json()["results"][0]["account_value"] == "5"

    bare.update(applied=True)
    assert client.get("/traders").json()["results"][0]["account_value"] is None


def test_pages_of_traders_follow_one_another(client):
    for number in range(1, 6):
        add_trader(number)

    page = client.get("/traders?limit=2&offset=2").json()

    assert [row["address"] for row in page["results"]] == [address(3), address(4)]
    assert "offset=4" in page["next"]
    assert "limit=2" in page["previous"]


@pytest.mark.parametrize("search", ["0xAB", "ab", "0xab"])
def test_it_finds_traders_by_the_beginning_of_an_address(client, search):
    found, _other = add_trader(0xAB << 152), add_trader(0xAC << 152)

    answer = client.get("/traders", {"search": search}).json()

    assert answer["count"] == 1
    assert [row["id"] for row in answer["results"]] == [found.pk]


@pytest.mark.parametrize("key", ["pk", "address"])
def test_the_events_of_a_trader_come_newest_first_in_pages(client, key):
    trader, other = add_trader(1), add_trader(2)
    add_events(other)
    ids = add_events(trader, 5)
    add_events(other)

    page = client.get(f"/traders/{getattr(trader, key)}/events?limit=3").json()
    assert page["count"] is None
    assert [event["id"] for event in page["results"]] == ids[:1:-1]
    rest = client.get(page["next"]).json()

    assert [event["id"] for event in rest["results"]] == ids[1::-1]
    assert rest["next"] is None
    again = client.get(rest["previous"]).json()
    assert [event["id"] for event in again["results"]] == ids[:1:-1]


def test_the_events_of_a_trader_can_be_filtered(client):
    trader = add_trader()
    add_events(trader, kind="OPEN", coin="BTC")
    (closed,) = add_events(trader, kind="CLOSE", coin="BTC")
    add_events(trader, kind="CLOSE", coin="ETH")

    answer = client.get(f"/traders/{trader.pk}/events?kind=CLOSE&coin=BTC").json()

    assert [event["id"] for event in answer["results"]] == [closed]


def test_an_event_has_the_fields_of_the_contract(client):
    trader = add_trader()
    add_events(trader, size_before=Decimal("1.5"), size_after=Decimal("-0.50"), kind="CLOSE")

    (event,) = client.get("/api/v1/events").json()["results"]

    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "id": 1,
        "trader_id": trader.pk,
        "trader_address": trader.address,
        "event_type": "CLOSE",
        "coin": "BTC",
        "side": "BUY",
        "size_before": "1.5",
        "size_after": "-0.5",
        "price": "60000.1",
        "notional": "120000.2",
        "source": "snapshot",
        "stale": False,
        "replayed": False,
        "exchange_time_ms": STATE_MS,
        "details": {},
    }


def test_one_trader_is_shown_with_positions_as_of_their_snapshot(client):
    trader = add_trader()
    add_snapshot(trader, "50.10")
    add_position(trader, "ETH", "-3.00", notional=Decimal("9000"), leverage=20)
    add_position(trader, "BTC", "0.5")

    answer = client.get(f"/api/v1/traders/{trader.address.upper().replace('0X', '0x')}").json()

    assert answer.pop("first_seen_at").endswith("Z")
    short, long = answer.pop("positions")
    assert answer == {
        "address": trader.address,
        "last_tracked_at": STATE_AT,
        "complete_as_of": STATE_AT,
        "account_value": "50.1",
        "score": None,
    }
    assert short == {
        "coin": "ETH",
        "size": "-3",
        "side": "SHORT",
        "entry_price": "100.5",
        "notional": "9000",
        "unrealised_pnl": None,
        "leverage": 20,
        "known": True,
        "stale": True,
        "as_of": STATE_AT,
    }
    assert (long["coin"], long["side"], long["notional"]) == ("BTC", "LONG", None)


def test_a_position_that_nothing_has_told_is_shown_as_unknown(client):
    trader = add_trader()
    add_waiting_fill(trader, "BTC")

    answer = client.get(f"/api/v1/traders/{trader.address}").json()

    unknown = ("size", "side", "entry_price", "notional", "unrealised_pnl", "leverage", "as_of")
    assert answer["positions"] == [
        {"coin": "BTC", "known": False, "stale": True, **dict.fromkeys(unknown)}
    ]
    assert answer["complete_as_of"] is None


def test_positions_are_not_complete_before_every_dex_has_a_base(client):
    trader = add_trader(dexes=["", "xyz"])
    assert client.get(f"/api/v1/traders/{trader.address}").json()["complete_as_of"] is None

    add_snapshot(trader, "1")
    assert client.get(f"/api/v1/traders/{trader.address}").json()["complete_as_of"] is None

    add_snapshot(trader, "1", dex="xyz", at_ms=STATE_MS - 1000)
    answer = client.get(f"/api/v1/traders/{trader.address}").json()
    assert answer["complete_as_of"] == "2025-10-09T08:53:19Z"
