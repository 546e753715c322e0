"""The admin tells what is live, stale or unknown, what was missed, and what was corrected."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F

from tests.traders.book import (
    STATE_MS,
    add_correction,
    add_cursor,
    add_gap,
    add_position,
    add_snapshot,
    add_trader,
    add_waiting_fill,
    follow,
)
from tests.traders.test_admin import list_url, record_url
from traders.models import Correction, FeedCursor, FeedGap, FeedSocket, Position, Trader

pytestmark = pytest.mark.django_db


@pytest.fixture
def trader() -> Trader:
    """Return a trader with a live, a stale and an unknown position."""
    trader = add_trader()
    add_snapshot(trader, "1")
    add_position(trader, "BTC", "1")
    add_position(trader, "ETH", "2")
    for coin in ("BTC", "ETH"):
        add_cursor(coin, gap_until_ms=1)
    add_gap("ETH", STATE_MS + 1000, STATE_MS + 2000)
    follow("BTC", "ETH", until_ms=STATE_MS + 5000)
    trader.ledger.refresh_from_db()
    trader.ledger.doubts = {"SOL": {"floor": None}}
    trader.ledger.save()
    return trader


def test_the_list_of_positions_says_what_is_live_and_what_is_stale(trader, admin_client):
    page = admin_client.get(list_url(Position))

    told = {row.coin: row.told.stale for row in page.context["cl"].result_list}
    assert told == {"BTC": False, "ETH": True}
    assert b"live as of 2025-10-09 08:53:25 UTC" in page.content
    assert b"stale since 2025-10-09 08:53:21 UTC" in page.content


def test_a_traders_page_says_it_of_each_position_and_counts_the_waiting_fills(trader, admin_client):
    add_waiting_fill(trader, "SOL")
    add_waiting_fill(trader, "SOL")

    page = admin_client.get(record_url(trader)).content.decode()

    assert "BTC: live as of 2025-10-09 08:53:25 UTC<br>" in page
    assert "ETH: stale since 2025-10-09 08:53:21 UTC<br>" in page
    assert "SOL: unknown<br>" in page
    assert "<p>live as of 2025-10-09 08:53:25 UTC</p>" in page
    assert "<p>stale since 2025-10-09 08:53:21 UTC</p>" in page
    assert "SOL 2" in page


def test_a_cursor_shows_whether_anybody_carries_its_coin(trader, admin_client):
    def carried() -> list[bool]:
        return [
            row.carried for row in admin_client.get(list_url(FeedCursor)).context["cl"].queryset
        ]

    assert carried() == [True, True]
    FeedSocket.objects.update(seen_at=F("seen_at") - timedelta(seconds=6))
    assert carried() == [False, False]


def test_gaps_come_newest_first_and_are_found_by_coin_and_reason(trader, admin_client):
    add_gap("BTC", 1, 2, "drift")

    def found(**query: str) -> list[str]:
        return [
            gap.coin for gap in admin_client.get(list_url(FeedGap), query).context["cl"].queryset
        ]

    assert found() == ["BTC", "ETH"]
    assert found(q="ETH") == ["ETH"]
    assert found(reason__exact="drift") == ["BTC"]
    assert b"1.000" in admin_client.get(list_url(FeedGap)).content


def test_a_correction_shows_both_sides_of_the_difference(trader, admin_client):
    add_correction(trader, "ETH", ledger_size="-2.5", snapshot_size="0.75")

    page = admin_client.get(list_url(Correction)).content.decode()

    for text in (trader.address, "ETH", "-2.5", "0.75", ">3.25<"):
        assert text in page


def test_who_waits_for_healing_is_found(trader, admin_client):
    other = add_trader(2)
    Trader.objects.filter(pk=other.pk).update(healing="gap")

    page = admin_client.get(list_url(Trader), {"tracking": "healing"})

    assert [row.pk for row in page.context["cl"].result_list] == [other.pk]
    assert b"held a coin whose trades were missed" in page.content
