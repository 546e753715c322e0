"""What a client asks of the WebSocket and what everyone is told, over a real server."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from hlcopy.broadcast import notify
from tests.web.server import CHECKOUT, Updates, WebServer, until

SUBSCRIBE = {"type": "subscribe", "coins": ["ETH"], "batch": True}


def say(updates: Updates, **message: Any) -> None:
    updates.socket.send(json.dumps(message))


def following(updates: Updates, kind: str) -> dict[str, Any]:
    """Return the next frame of a type, past anything else."""
    while (frame := updates.next())["type"] != kind:
        pass
    return frame


def test_a_client_filters_rewinds_and_takes_batches(book, server):
    with server.listen() as updates:
        epoch = updates.next()["epoch"]
        book.add(3, coin="BTC")
        book.add(2, coin="ETH")
        assert updates.events(5) == [1, 2, 3, 4, 5]

        say(updates, **SUBSCRIBE)
        answer = following(updates, "subscribed")
        assert (answer["coins"], answer["traders"], answer["upto"]) == (["ETH"], None, 5)
        book.add(2, coin="BTC")
        book.add(3, coin="ETH")
        frame = following(updates, "trade_events")
        assert [data["id"] for data in frame["data"]] == [8, 9, 10]
        assert frame["data"][0] == server.get("/api/v1/events?after=7&limit=1")[1]["results"][0]

        say(updates, type="resume", epoch=epoch, after=4)
        assert following(updates, "resumed")["after"] == 4
        frame = following(updates, "trade_events")
        assert [data["id"] for data in frame["data"]] == [5, 8, 9, 10]

        say(updates, type="subscribe", kinds=["SELL"])
        assert "OPEN, INCREASE, DECREASE, CLOSE" in following(updates, "error")["message"]
        book.add(1, coin="BTC")
        book.add(1, coin="ETH")
        assert [x["id"] for x in following(updates, "trade_events")["data"]] == [12]

        say(updates, type="resume", epoch=epoch, after=99)
        assert following(updates, "reset")["reason"] == "ahead"
        say(updates, type="subscribe")
        assert following(updates, "subscribed")["batch"] is False
        book.add(1, coin="BTC")
        assert updates.events(1) == [13]


def test_a_filtered_client_is_told_how_far_it_got(book, server):
    with server.listen() as updates:
        updates.next()
        say(updates, type="subscribe", coins=["SOL"])
        following(updates, "subscribed")
        book.add(7)
        beat = following(updates, "heartbeat")
        assert (beat["head"], beat["upto"]) == (7, 7)


def test_everyone_is_told_of_a_new_leaderboard_and_of_notices(book, server):
    with server.listen() as one, server.listen() as two:
        for updates in (one, two):
            updates.next()
        say(two, **SUBSCRIBE)
        following(two, "subscribed")

        def told():  # the hub may not have subscribed yet
            notify("notice", message="maintenance at noon")
            try:
                return one.next(0.2)["type"] == "notice"
            except TimeoutError:
                return False

        until(told)
        assert following(two, "notice")["message"] == "maintenance at noon"
        notify("neither", of="these")
        notify("leaderboard_updated", preset="classic", updated_at="2026-11-20T22:40:00Z")
        for updates in (one, two):
            frame = following(updates, "leaderboard_updated")
            assert (frame["preset"], frame["updated_at"]) == ("classic", "2026-11-20T22:40:00Z")


def number(server: WebServer, name: str) -> int:
    found: int = server.get("/api/v1/stats")[1]["websocket"][name]
    return found


@pytest.fixture
def impatient(book, services):
    server = WebServer(services.redis_url)
    server.options = ["--ws-ping-interval", "3", "--ws-ping-timeout", "3"]
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("unread", [0, 400])
def test_a_client_that_vanished_leaves_the_count(book, impatient, unread):
    """The same, five times slower, is what the Procfile asks of the server."""
    silent = socket.socket()
    silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with silent, impatient.listen() as alive:
        silent.connect(("127.0.0.1", impatient.port))
        silent.sendall(
            b"GET /ws/v1/updates HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        alive.next()
        until(lambda: number(impatient, "active_connections") == 2)
        if unread:  # more than the kernel buffers: a polite close would wait behind it
            book.add(unread, details={"padding": "x" * 20_000})
            assert alive.events(unread)[-1] == unread
        until(lambda: number(impatient, "active_connections") == 1)


def test_the_procfile_lets_a_vanished_client_go_within_40_s():
    words = (CHECKOUT / "Procfile").read_text().split("\n")[0].split()
    seconds = [
        float(words[words.index(f"--ws-ping-{name}") + 1]) for name in ("interval", "timeout")
    ]
    assert sum(seconds) + 2 <= 40
