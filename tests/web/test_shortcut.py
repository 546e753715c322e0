"""What is repeated before Django, and what never is."""

from __future__ import annotations

import msgspec
import pytest

from web import shortcut
from web.shortcut import Shortcut

pytestmark = pytest.mark.asyncio


class Django:
    """An application that counts what reaches it."""

    def __init__(self):
        self.asked = 0
        self.status = 200
        self.headers = [(b"Content-Type", b"application/json"), (b"ETag", b'"1"')]

    async def __call__(self, scope, _receive, send):
        self.asked += 1
        headers = [*self.headers, (b"Content-Length", b"2")]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"%d" % self.asked, "more_body": True})
        await send({"type": "http.response.body", "body": b"!"})


@pytest.fixture
def django():
    return Django()


class Clock:
    """A clock that tests set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def front(django, clock):
    return Shortcut(django, now=clock, most_bytes=5)


async def ask(front, path="/leaderboard", query=b"", method="GET", **headers):
    sent = []

    async def send(message):
        sent.append(message)

    fields = {"host": "127.0.0.1", "accept": "*/*"} | headers
    scope = {
        "type": "http",
        "scheme": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": [(n.replace("_", "-").encode(), v.encode()) for n, v in fields.items()],
    }
    await front(scope, None, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


async def test_the_same_question_is_answered_once(front, django):
    assert [await ask(front) for _ in range(3)] == [(200, b"1!")] * 3
    assert django.asked == 1


@pytest.mark.parametrize(
    "other",
    [
        {"cookie": "sessionid=1"},
        {"authorization": "Bearer x"},
        {"range": "bytes=0-1"},
        {"accept": "text/html"},
        {"host": "elsewhere.example"},
        {"query": b"limit=1"},
        {"path": "/traders"},
        {"method": "HEAD"},
    ],
)
async def test_another_question_goes_the_full_way(front, django, other):
    await ask(front)

    assert await ask(front, **other) == (200, b"2!")


async def test_who_has_the_page_is_told_so(front, django):
    assert await ask(front, if_none_match='"1"') == (304, b"")
    assert await ask(front, if_none_match='W/"1"') == (304, b"")
    assert await ask(front, if_none_match='"2"') == (200, b"1!")


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (503, [(b"ETag", b'"1"')]),
        (404, [(b"ETag", b'"1"')]),
        (200, []),
        (200, [(b"ETag", b'"1"'), (b"Set-Cookie", b"a=b")]),
    ],
)
async def test_what_is_not_for_everybody_is_not_repeated(front, django, status, headers):
    django.status, django.headers = status, headers
    await ask(front)

    assert (await ask(front))[1] == b"2!"


async def test_it_is_asked_again_when_the_answer_is_old(front, django, clock):
    await ask(front)
    clock.now += shortcut.SECONDS

    assert [await ask(front) for _ in range(2)] == [(200, b"2!")] * 2


async def test_a_failure_ends_the_repeating(front, django, clock):
    await ask(front)
    clock.now += shortcut.SECONDS
    django.status = 503

    assert [(await ask(front))[1] for _ in range(2)] == [b"2!", b"3!"]


async def test_memory_is_bounded(front, django):
    for number in range(3):
        await ask(front, query=b"offset=%d" % number)

    # 5 bytes hold two answers: the third made them go.
    assert await ask(front, query=b"offset=2") == (200, b"3!")
    assert await ask(front, query=b"offset=0") == (200, b"4!")


async def test_where_reading_needs_a_login_nothing_is_repeated(front, django, settings):
    settings.CONFIGURATION = msgspec.structs.replace(settings.CONFIGURATION, host="192.0.2.7")
    await ask(front)

    assert (await ask(front))[1] == b"2!"
