"""The pages' WebSocket client before a real server: filters, batches, resets and losses."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.browser.conftest import Visit
from tests.traders.book import add_events, add_trader
from tests.web.server import until
from traders.models import EventHead


def frames_of(visit: Visit) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what the page will receive and send, as it comes."""
    received: list[dict[str, Any]] = []
    sent: list[dict[str, Any]] = []

    def listen(socket):
        socket.on("framereceived", lambda text: received.append(json.loads(text)))
        socket.on("framesent", lambda text: sent.append(json.loads(text)))

    visit.page.on("websocket", listen)
    return received, sent


def shown(visit: Visit, number: int) -> None:
    visit.page.wait_for_selector(f".event[data-id='{number}']")


def test_the_dashboard_takes_batches(book, server, browser):
    visit = Visit(browser)
    received, sent = frames_of(visit)
    visit.page.goto(server.url)
    visit.page.wait_for_selector("[data-status=updates][data-state=good]")
    book.add(50)
    shown(visit, 50)
    assert visit.event_ids() == list(range(50, 0, -1))
    assert [message["type"] for message in sent] == ["subscribe", "resume"]
    assert sum(frame["type"] == "trade_events" for frame in received) < 10
    assert not any(frame["type"] == "trade_event" for frame in received)
    assert visit.complaints == []


def test_a_traders_page_is_sent_that_trader_alone_and_resumes(book, server, browser):
    trader = add_trader(2)
    visit = Visit(browser)
    received, _ = frames_of(visit)
    visit.page.goto(f"{server.url}/traders/{trader.address}")
    visit.page.wait_for_selector("[data-status=updates][data-state=good]")
    book.add(5)
    add_events(trader, 2)
    book.add(5)
    shown(visit, 7)

    server.stop()
    visit.page.wait_for_selector("text=Live updates reconnecting")
    book.add(3)
    add_events(trader, 2)
    server.start()
    shown(visit, 17)
    book.add(1)
    add_events(trader, 1)
    shown(visit, 19)

    assert visit.event_ids() == [19, 17, 16, 7, 6]
    events = [x for frame in received if frame["type"] == "trade_events" for x in frame["data"]]
    assert {event["trader_address"] for event in events} == {trader.address}


def test_a_reset_is_survived_and_the_list_begins_anew(book, server, browser):
    visit = Visit(browser)
    received, _ = frames_of(visit)
    visit.page.goto(server.url)
    visit.page.wait_for_selector("[data-status=updates][data-state=good]")
    book.add(3)
    shown(visit, 3)

    EventHead.objects.update(epoch=uuid.uuid4())

    def was_reset() -> bool:
        visit.page.wait_for_timeout(10)  # frames are told while the page is attended to
        return any(frame["type"] == "reset" for frame in received)

    until(was_reset)
    book.add(2)
    shown(visit, 5)
    assert visit.event_ids() == [5, 4, 3, 2, 1]

    server.stop()
    visit.page.wait_for_selector("text=Live updates reconnecting")
    EventHead.objects.update(epoch=uuid.uuid4())
    book.add(2)
    server.start()
    visit.page.wait_for_selector("[data-status=updates][data-state=good]")
    book.add(1)
    shown(visit, 8)
    assert visit.event_ids() == list(range(8, 0, -1))
