"""The WebSocket of live updates, over a real server and real sockets."""

from __future__ import annotations

import uuid

import pytest
import websockets

from tests.web.server import WebServer
from traders.models import EventHead, PositionEvent
from web.filters import MAX_MESSAGE_BYTES
from web.push import MAX_MESSAGES_PER_SECOND

CANNOT_RESUME = [
    ("?epoch={epoch}&after=99", "ahead"),
    ("?epoch={epoch}&after=1", "expired"),
    ("?epoch=other&after=4", "epoch"),
    ("?after=4", "epoch"),
    ("?epoch={epoch}&after=%00", "invalid"),
    ("?epoch={epoch}&after=10000000000000000000000000", "invalid"),
]
FOREIGN = ["http://evil.example", "http://127.0.0.1:1", "null", "file://", "http://[", "https://"]


def test_a_listener_gets_the_state_of_the_log_and_then_every_event(book, server):
    book.add(3)
    with server.listen() as updates:
        hello = updates.next()
        assert set(hello) == {"type", "message", "timestamp", "epoch", "head", "oldest"}
        assert (hello["type"], hello["head"], hello["oldest"]) == ("connection", 3, 1)

        book.add(2)
        frame = updates.next()
        assert set(frame) == {"type", "data", "timestamp"}
        assert frame["type"] == "trade_event"
        assert frame["data"] == server.get("/api/v1/events?after=3&limit=1")[1]["results"][0]
        assert updates.events(1) == [5]


def test_an_empty_log_begins_behind_its_head(book, server):
    with server.listen() as updates:
        hello = updates.next()
        assert (hello["head"], hello["oldest"]) == (0, 1)


def test_resuming_gives_exactly_what_was_missed_and_then_what_is_live(book, server):
    with server.listen() as updates:
        epoch = updates.next()["epoch"]
    book.add(50)
    head = 0
    while head < 50:  # the hub may be told a moment later
        with server.listen() as updates:
            head = updates.next()["head"]
    with server.listen(f"?epoch={epoch}&after=7") as updates:
        assert updates.next()["head"] == 50
        book.add(10)
        assert updates.events(53) == list(range(8, 61))


def test_what_is_older_than_the_ring_is_read_from_the_log(book, server):
    book.add(5000)
    with server.listen() as updates:
        epoch = updates.next()["epoch"]
    with server.listen(f"?epoch={epoch}&after=0") as updates:
        book.add(5)
        assert updates.events(5005) == list(range(1, 5006))


def test_who_cannot_resume_is_reset_and_then_live(book, server):
    book.add(5)
    PositionEvent.objects.filter(id__lte=2).delete()
    with server.listen() as updates:
        epoch = updates.next()["epoch"]
    for number, (query, reason) in enumerate(CANNOT_RESUME, start=6):
        with server.listen(query.format(epoch=epoch)) as updates:
            assert updates.next()["type"] == "connection"
            reset = updates.next()
            assert (reset["type"], reset["reason"], reset["head"]) == ("reset", reason, number - 1)
            book.add()
            assert updates.events(1) == [number]


def test_a_restored_log_resets_everybody(book, server):
    book.add(3)
    with server.listen() as updates:
        epoch = updates.next()["epoch"]
        EventHead.objects.update(epoch=uuid.uuid4())
        reset = updates.next()
        assert (reset["type"], reset["reason"]) == ("reset", "epoch")
        assert reset["epoch"] != epoch
        book.add()
        assert updates.events(1) == [4]


def test_a_bad_message_is_answered_and_costs_nothing_else(book, server):
    with server.listen() as updates:
        updates.next()
        for message in ("{", "[]", '"x"', '{"type":"buy"}', "[" * 4000, b"\x00"):
            updates.socket.send(message)
            answer = updates.next()
            assert set(answer) == {"type", "code", "message"}
            assert answer["type"] == "error"
        updates.socket.send('{"type":"ping"}')
        assert updates.next()["type"] == "pong"
        book.add()
        assert updates.events(1) == [1]


def test_who_sends_too_much_is_closed(book, server):
    for messages, code in (
        (["x" * (MAX_MESSAGE_BYTES + 1)], 1009),
        (['{"type":"ping"}'] * (MAX_MESSAGES_PER_SECOND + 1), 1008),
    ):
        with server.listen() as updates:
            for message in messages:
                updates.socket.send(message)
            assert updates.close_code() == code


def test_a_foreign_page_is_refused_and_our_own_let_in(book, server):
    for origin in FOREIGN:
        with pytest.raises(websockets.InvalidStatus) as refused:
            server.listen(additional_headers={"Origin": origin}).__enter__()
        assert refused.value.response.status_code == 403
        assert b'"foreign_origin"' in refused.value.response.body
    with server.listen(additional_headers={"Origin": server.url}) as updates:
        assert updates.next()["type"] == "connection"


def test_an_open_server_lets_listen_who_is_logged_in(book, services, client, django_user_model):
    server = WebServer(services.redis_url, HOST="0.0.0.0", ALLOWED_HOSTS="127.0.0.1")
    server.start()
    try:
        with pytest.raises(websockets.InvalidStatus) as refused:
            server.listen().__enter__()
        assert refused.value.response.status_code == 401

        client.force_login(django_user_model.objects.create_user("anna"))
        cookie = {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}
        with server.listen(additional_headers=cookie) as updates:
            assert updates.next()["type"] == "connection"
    finally:
        server.stop()
