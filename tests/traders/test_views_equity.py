"""The equity of one account, for a chart."""

from __future__ import annotations

import pytest

from hlcopy.clock import from_ms
from tests.traders.book import STATE_MS, add_snapshot, add_trader
from traders.models import AccountSnapshot

pytestmark = pytest.mark.django_db
HOUR_MS = 3_600_000


@pytest.fixture
def trader():
    """Ten snapshots, an hour apart, worth 0 to 9; the fourth is unknown."""
    trader = add_trader()
    for hour in range(10):
        add_snapshot(trader, None if hour == 3 else str(hour), at_ms=STATE_MS + hour * HOUR_MS)
    return trader


def values(client, trader, **query):
    response = client.get(f"/api/v1/traders/{trader.address}/equity", query)
    assert response.status_code == 200, response.content
    answer = response.json()
    assert answer["count"] == len(answer["results"])
    assert (answer["next"], answer["previous"]) == (None, None)
    return [point["account_value"] for point in answer["results"]]


def test_a_short_series_is_told_whole_with_null_where_unknown(client, trader):
    assert values(client, trader) == ["0", "1", "2", None, *"456789"]


def test_a_point_has_its_time_and_what_the_account_held(client, trader):
    (point, *_) = client.get(f"/api/v1/traders/{trader.pk}/equity").json()["results"]

    assert point == {
        "at": "2025-10-09T08:53:20Z",
        "account_value": "0",
        "total_notional": "0",
        "margin_used": "0",
        "open_positions": 0,
    }


def test_a_long_series_is_thinned_to_the_newest_of_equal_parts(client, trader):
    assert values(client, trader, points=2) == ["4", "9"]
    assert values(client, trader, points=1) == ["9"]
    assert len(values(client, trader, points=4)) == 4


def test_a_part_of_the_time_is_told(client, trader):
    begin, end = (from_ms(STATE_MS + hours * HOUR_MS).isoformat() for hours in (5, 7))

    assert values(client, trader, **{"from": begin, "to": end}) == ["5", "6"]
    assert values(client, trader, **{"from": end}) == ["7", "8", "9"]
    assert values(client, trader, to="2021-01-01") == []
    assert values(client, trader, **{"from": "2099-01-01"}) == []


def test_only_what_was_believed_is_told_and_each_dex_for_itself(client, trader):
    AccountSnapshot.objects.filter(account_value=9).update(applied=False)
    add_snapshot(trader, "77", dex="xyz")
    AccountSnapshot.objects.filter(account_value=5).update(applied=False)

    assert values(client, trader) == ["0", "1", "2", None, "4", "6", "7", "8"]
    assert values(client, trader, dex="xyz") == ["77"]
    assert values(client, add_trader(2)) == []


@pytest.mark.parametrize(
    ("query", "allowed"),
    [
        ("points=501", "500"),
        ("points=0", "1"),
        ("from=2026-01-02&to=2026-01-01", "before `to`"),
        ("from=2026-01-01&to=2026-01-01", "before `to`"),
        ("to=soon", "YYYY-MM-DD"),
        ("limit=5", "known: from, to, points, dex"),
    ],
)
def test_a_bad_question_is_told_what_is_allowed(client, trader, query, allowed):
    response = client.get(f"/api/v1/traders/{trader.pk}/equity?{query}")

    assert response.status_code == 400
    assert allowed in response.json()["error"]["message"]
