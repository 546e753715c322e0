"""What people see of how well a position is known: live, stale since, or unknown."""

from __future__ import annotations

import re
from decimal import Decimal

from hlcopy.clock import now_ms
from tests.browser.conftest import Visit
from tests.traders.book import (
    STATE_MS,
    add_cursor,
    add_events,
    add_gap,
    add_position,
    add_snapshot,
    add_trader,
    add_waiting_fill,
    follow,
)
from traders.models import Trader

COINS = ("BTC", "ETH")


def standing_trader() -> Trader:
    """Return a trader with a live, a stale and an unknown position; the feed leaves SOL out."""
    trader = add_trader(2)
    now = now_ms()
    add_snapshot(trader, "1000", at_ms=now - 600_000)
    for coin, size, entry in (("BTC", "0.5", "100.0000000007"), ("ETH", "-4", "100")):
        add_position(trader, coin, size, entry_price=Decimal(entry), leverage=5)
    for coin in (*COINS, "SOL"):
        add_cursor(coin, gap_until_ms=STATE_MS, newest_ms=now, last_price=Decimal(90))
    add_gap("ETH", now - 300_000, now - 290_000)
    add_waiting_fill(trader, "xyz:TSLA")
    for number in range(2):
        follow(*COINS, until_ms=now, name=f"host:1/{number}")
    return trader


def test_a_position_says_whether_it_is_live_stale_or_unknown(book, server, browser):
    trader = standing_trader()
    visit = Visit(browser, viewport={"width": 1440, "height": 900}, color_scheme="dark")
    page = visit.page
    page.goto(f"{server.url}/traders/{trader.address}")
    page.wait_for_selector("#positions tbody tr")

    live, stale, unknown = page.locator("#positions tbody tr").all()
    assert live.locator(".state").inner_text() == "live"
    assert "\u2212$5.00" in live.inner_text()
    assert live.locator("td:nth-child(4)").inner_text() == "100"
    assert live.locator("td:nth-child(4)").get_attribute("title") == "100.0000000007"
    assert re.fullmatch(r"stale since \d\d:\d\d:\d\d", stale.locator(".state").inner_text())
    assert unknown.locator(".state").inner_text() == "unknown"
    assert "xyz:TSLA" in unknown.inner_text()
    assert page.inner_text("#positions .states") == "1 live · 1 stale · 1 unknown"
    assert page.inner_text("[data-fact=complete]") == "unknown"
    visit.shot("standing-dark")
    assert visit.complaints == []


def test_the_header_says_how_many_coins_are_live_and_how_many_are_not(book, server, browser):
    standing_trader()
    visit = Visit(browser, viewport={"width": 390, "height": 844})
    visit.page.goto(server.url)
    visit.page.wait_for_selector("text=2 coins live · 1 open gap")

    assert visit.page.get_attribute("[data-status=feed]", "data-state") == "wait"
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_event_shows_role_profit_and_what_speaks_against_it(book, server, browser):
    details = {"role": "taker", "fees": "1.25", "realised_pnl": "-12.5", "entry_price": "100"}
    (marked,) = add_events(book.trader, source="feed", stale=True, replayed=True, details=details)
    (plain,) = add_events(book.trader, source="feed", details={"role": "both", "fees": "0.1"})
    visit = Visit(browser, viewport={"width": 1440, "height": 900}, color_scheme="light")
    page = visit.page
    page.goto(server.url)
    page.wait_for_selector(f".event[data-id='{plain}']")

    by = page.locator(f".event[data-id='{marked}'] .by")
    assert by.inner_text().split("\n")[1:] == ["taker", "\u2212$12.50", "stale", "replayed"]
    assert by.locator(".role").get_attribute("title") == "fees about $1.25, estimated"
    assert page.locator(f".event[data-id='{plain}'] .by").inner_text().split("\n")[1:] == [
        "taker + maker"
    ]
    visit.shot("events-light")
    page.set_viewport_size({"width": 390, "height": 844})
    visit.shot("events-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert visit.complaints == []
