"""The pages in a real browser: what people see, live, without a complaint of the browser."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from hlcopy.clock import now_ms, utc_now
from tests.browser.conftest import Visit
from tests.traders.book import add_events, add_position, add_snapshot, add_trader
from tests.web.server import WebServer, until
from traders.models import FeedSocket

pytestmark = pytest.mark.browser
COINS = ["BTC", "ETH", "SOL", "HYPE", "kPEPE", "xyz:TSLA"]
KINDS = [("OPEN", "BUY"), ("INCREASE", "SELL"), ("DECREASE", "SELL"), ("CLOSE", "BUY")]


def crowd(book, traders=40, events=60):
    """Fill the book with traders, positions and events."""
    people = [book.trader, *(add_trader(0xC0FFEE0000 + 7919 * n**9) for n in range(2, traders))]
    for place, trader in enumerate(people[:-4]):
        add_snapshot(
            trader, str(Decimal(place * 13577) / 7), at_ms=int(utc_now().timestamp() * 1e3)
        )
        for coin in COINS[: place % 5]:
            size = "-1250.5" if place % 2 else "0.0375"
            pnl = Decimal(place * 311 - 2500) / 3
            add_position(
                trader, coin, size, notional=Decimal(place * 1000), leverage=10, unrealised_pnl=pnl
            )
    for number in range(events):
        kind, side = KINDS[number % 4]
        coin = COINS[number % 6]
        before, after = (
            (Decimal(0), Decimal("1.25")) if kind == "OPEN" else (Decimal(3), Decimal(0))
        )
        who = people[number % len(people)]
        price = None if number % 9 == 5 else Decimal("61234.5")
        sizes: Any = {"size_before": Decimal(before), "size_after": Decimal(after)}
        add_events(who, kind=kind, side=side, coin=coin, price=price, **sizes)
    return people


def live_feed():
    """Say that two sockets of the feed are alive, once."""
    for number in range(2):
        FeedSocket.objects.update_or_create(
            name=f"host:1/{number}",
            defaults={
                "connected": True,
                "since_at": utc_now(),
                "seen_at": utc_now(),
                "newest_block_ms": now_ms(),
            },
        )


def test_the_dashboard_shows_traders_and_new_events_without_a_complaint(book, server, browser):
    crowd(book)
    live_feed()
    visit = Visit(browser, viewport={"width": 1440, "height": 900}, color_scheme="dark")
    page = visit.page
    page.goto(server.url)
    page.wait_for_selector("#traders tbody tr")
    page.wait_for_selector(".event[data-id='60']")
    page.wait_for_selector("text=Exchange feed live")
    assert page.text_content("#traders .range") == "1\u201325 of 39"

    (new,) = book.add(coin="<b>DOGE</b>", size_after=Decimal("-2.50"), side="SELL")
    page.wait_for_selector(f".event[data-id='{new}']")
    row = page.inner_text(f".event[data-id='{new}']")
    assert "<b>DOGE</b>" in row
    assert "\u22122.5" in row
    assert visit.event_ids() == list(range(new, 0, -1))
    visit.shot("dashboard-dark")

    page.fill("#search", book.trader.address)
    page.wait_for_selector("text=of 1")
    page.fill("#search", "0xffff")
    page.wait_for_selector("text=No trader's address begins with 0xffff.")

    FeedSocket.objects.update(seen_at=utc_now() - timedelta(minutes=5), last_error="refused")
    page.wait_for_selector("text=Exchange unreachable since")
    assert page.get_attribute("[data-status=feed]", "title") == "refused"
    assert visit.complaints == []


def test_a_trader_has_a_page_with_positions_and_live_events(book, server, browser):
    trader = crowd(book)[13]
    visit = Visit(browser, viewport={"width": 1440, "height": 900}, color_scheme="light")
    page = visit.page
    page.goto(f"{server.url}/traders/{trader.address}")
    page.wait_for_selector("#positions tbody tr")
    assert page.locator("#positions tbody tr").count() == 3
    assert "▼ SHORT" in page.inner_text("#positions tbody")
    page.wait_for_selector(".event")
    before = visit.event_ids()

    book.add()
    (theirs,) = add_events(trader)
    page.wait_for_selector(f".event[data-id='{theirs}']")
    assert visit.event_ids() == [theirs, *before]
    visit.shot("trader-light")
    assert visit.complaints == []


def test_a_restart_of_the_server_is_shown_and_nothing_is_missing_afterwards(book, server, browser):
    visit = Visit(browser)
    page = visit.page
    page.goto(server.url)
    page.wait_for_selector("[data-status=updates][data-state=good]")
    book.add(3)
    page.wait_for_selector(".event[data-id='3']")

    server.stop()
    page.wait_for_selector("text=Live updates reconnecting")
    visit.shot("reconnecting")
    book.add(20)
    server.start()
    page.wait_for_selector("[data-status=updates][data-state=good]")
    book.add(2)
    page.wait_for_selector(".event[data-id='25']")

    assert visit.event_ids() == list(range(25, 0, -1))


def test_a_database_that_is_away_is_said_until_it_is_back(book, server, door, browser):
    visit = Visit(browser, viewport={"width": 1440, "height": 900}, color_scheme="dark")
    page = visit.page
    page.goto(server.url)
    page.wait_for_selector("#traders tbody tr")

    door(False)
    page.wait_for_selector("text=Database away")
    page.wait_for_selector("text=the database does not answer")
    assert page.locator("#traders tbody tr").count() == 1  # what was known stays
    visit.shot("database-away")

    door(True)
    page.wait_for_selector("[data-status=storage]", state="hidden")
    page.wait_for_selector(".refusal", state="hidden")


def test_an_empty_book_says_what_happens_next(book, services, browser):
    book.trader.delete()
    server = WebServer(services.redis_url, HLCOPY_DEMO="1")
    server.start()
    try:
        visit = Visit(browser, viewport={"width": 1440, "height": 900})
        visit.page.goto(server.url)
        visit.page.wait_for_selector("text=as soon as the exchange can be reached")
        visit.page.wait_for_selector("text=No events yet")
        visit.page.wait_for_selector("text=Exchange feed not started")
        assert visit.page.is_visible("text=Simulated exchange.")
        assert not visit.page.is_visible("text=Recording.")
        visit.shot("empty")
        assert visit.complaints == []
    finally:
        server.stop()


@pytest.mark.parametrize("width", [390, 700, 1280, 1920])
def test_sizes_and_prices_stay_on_one_line(book, server, browser, width):
    price = Decimal("3.684627714285714286")
    sizes: Any = {"size_before": Decimal("-118190.25"), "size_after": Decimal("-122287.75")}
    book.add(coin="xyz:XYZ100", price=price, **sizes)
    visit = Visit(browser, viewport={"width": width, "height": 900})
    visit.page.goto(server.url)
    visit.page.wait_for_selector(".event")
    for part, text in (
        (".change", "\u2212118,190.25 \u2192 \u2212122,287.75"),
        (".price", "@ 3.68463"),
    ):
        found = visit.page.locator(f".event {part}")
        assert found.inner_text() == text
        box = found.bounding_box()
        assert box
        assert box["height"] < 30
    beyond = visit.page.locator(".events").evaluate("list => list.scrollWidth - list.clientWidth")
    assert beyond == 0


def test_a_feed_that_lives_and_brings_nothing_is_called_silent(book, server, browser):
    live_feed()
    FeedSocket.objects.update(newest_block_ms=now_ms() - 300_000)
    visit = Visit(browser)
    visit.page.goto(server.url)
    visit.page.wait_for_selector("text=Exchange feed silent · 2 sockets · last block 5 min ago")


def test_everything_fits_a_small_screen(book, server, browser):
    crowd(book)
    visit = Visit(browser, viewport={"width": 390, "height": 844}, color_scheme="dark")
    for path, name in (("/", "phone"), (f"/traders/{book.trader.address}", "phone-trader")):
        visit.page.goto(server.url + path)
        visit.page.wait_for_selector(".event")
        visit.shot(name)
        width = visit.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390
    assert visit.complaints == []


def test_the_list_of_events_is_bounded_and_can_be_paused(book, server, browser):
    visit = Visit(browser)
    page = visit.page
    page.goto(server.url)
    page.wait_for_selector("[data-status=updates][data-state=good]")
    book.add(450)
    page.wait_for_selector(".event[data-id='450']")
    until(lambda: len(visit.event_ids()) == 200)

    page.click("text=Pause")
    book.add(7)
    page.wait_for_selector("text=Resume (7 new)")
    assert visit.event_ids()[0] == 450
    page.click(".pause")
    page.wait_for_selector(".event[data-id='457']")
