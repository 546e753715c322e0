"""A committed book and a real web server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hlcopy.broadcast import wake
from tests.traders.book import add_events, add_trader
from tests.web.server import WebServer
from traders.models import EventHead, Trader


class Book:
    """The committed book of one test, as another process sees it."""

    def __init__(self) -> None:
        """Add a trader; the flush of the test before took the one row of the head."""
        EventHead.objects.get_or_create(pk=1)
        self.trader: Trader = add_trader()

    def add(self, count: int = 1, *, waking: bool = True, **values: object) -> list[int]:
        """Commit events and wake the hubs, as the log's writer does."""
        ids = add_events(self.trader, count, **values)
        if waking:
            wake(ids[-1])
        return ids


@pytest.fixture
def book(transactional_db: None) -> Book:
    """A book whose rows are committed."""
    return Book()


@pytest.fixture
def server(book: Book, services) -> Iterator[WebServer]:
    """Run the web server over the book."""
    server = WebServer(services.redis_url)
    server.start()
    yield server
    server.stop()
