"""The event log over HTTP: in order, whole, and with a place to go on from."""

from __future__ import annotations

import pytest

from tests.traders.book import add_events, add_trader
from traders import views
from traders.models import PositionEvent

pytestmark = pytest.mark.django_db


def ids(answer):
    return [event["id"] for event in answer["results"]]


def test_the_log_is_read_in_order_page_by_page(client):
    add_events(add_trader(), 5)

    first = client.get("/api/v1/events?limit=2").json()
    assert (ids(first), first["upto"], first["count"]) == ([1, 2], 2, None)
    second = client.get(first["next"]).json()
    assert ids(second) == [3, 4]
    last = client.get(second["next"]).json()

    assert (ids(last), last["upto"], last["next"]) == ([5], 5, None)


def test_a_filtered_poller_goes_on_from_the_head(client):
    trader, other = add_trader(1), add_trader(2)
    add_events(trader, coin="BTC")
    add_events(other, 3, coin="ETH")

    for filters in ("coin=BTC", f"trader={trader.pk}", f"trader={trader.address}"):
        answer = client.get(f"/api/v1/events?{filters}").json()
        assert (ids(answer), answer["upto"], answer["next"]) == ([1], 4, None)
    nobody = client.get(f"/api/v1/events?trader=0x{'f' * 40}").json()
    assert (ids(nobody), nobody["upto"]) == ([], 4)


def test_a_filter_looks_through_a_part_of_the_log_at_a_time(client, monkeypatch):
    monkeypatch.setattr(views, "SCAN", 3)
    trader = add_trader()
    add_events(trader, 5, coin="ETH")
    add_events(trader, coin="BTC")

    answer = client.get("/api/v1/events?coin=BTC").json()
    assert (ids(answer), answer["upto"]) == ([], 3)
    assert ids(client.get(answer["next"]).json()) == [6]


def test_a_reader_beyond_the_head_is_told_where_the_head_is(client):
    add_events(add_trader(), 2)

    answer = client.get("/api/v1/events?after=999").json()

    assert (ids(answer), answer["upto"], answer["next"]) == ([], 2, None)


def test_a_reader_behind_the_oldest_event_is_told_so_and_begins_there(client):
    add_events(add_trader(), 5)
    PositionEvent.objects.filter(id__lte=3).delete()

    behind = client.get("/api/v1/events?after=1").json()
    assert (ids(behind), behind["oldest"], behind["upto"]) == ([4, 5], 4, 5)

    PositionEvent.objects.all().delete()
    empty = client.get("/api/v1/events").json()
    assert (ids(empty), empty["oldest"], empty["upto"], empty["next"]) == ([], 6, 5, None)
