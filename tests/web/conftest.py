"""A committed book and a real web server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connection

from hlcopy.broadcast import wake
from tests.traders.book import add_events, add_trader
from tests.web.server import WebServer, database_url
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


@contextmanager
def administrator() -> Iterator[psycopg.Connection]:
    """A session in another database of the same PostgreSQL."""
    with psycopg.connect(database_url(), dbname="postgres", autocommit=True) as session:
        yield session


@pytest.fixture
def door(book: Book) -> Iterator[Callable[[bool], None]]:
    """Let nobody but this process into the test's database, or everybody again."""
    (mine,) = connection.cursor().execute("SELECT pg_backend_pid()").fetchone()
    name = connection.settings_dict["NAME"]

    def is_open(wanted: bool) -> None:
        with administrator() as session:
            session.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS {wanted}')
            if not wanted:
                others = "datname = %s AND pid <> %s"
                session.execute(
                    f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}",
                    [name, mine],
                )

    yield is_open
    is_open(True)
