"""A server that others can reach, as its own process: who gets in over HTTP and WebSocket."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus

from tests.web.server import WebServer
from web import tokens


@pytest.fixture
def open_server(book, services):
    server = WebServer(services.redis_url, HOST="192.0.2.1", ALLOWED_HOSTS="127.0.0.1")
    server.start()
    yield server
    server.stop()


def test_a_program_with_a_token_listens_and_others_do_not(open_server, book):
    token = tokens.create("anna")
    with open_server.listen(additional_headers={"authorization": f"Bearer {token}"}) as updates:
        assert updates.next()["type"] == "connection"
        (number,) = book.add()
        assert updates.events(1) == [number]

    for headers in ({}, {"authorization": f"Bearer {token}x"}):
        with (
            pytest.raises(InvalidStatus) as refused,
            open_server.listen(additional_headers=headers),
        ):
            pass
        assert refused.value.response.status_code == 401
