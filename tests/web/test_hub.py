"""The hub over a log in memory: what each listener is written, however slow it is."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from hlcopy.broadcast import wake
from hlcopy.clock import from_ms
from tests.traders.book import STATE_MS, address
from traders.published import PublishedEvent
from web.filters import Entry
from web.hub import STALLED, Hub
from web.listener import Listener
from web.log import HoleError, LogAwayError
from web.push import LogState, entry
from web.wire import Frames

COINS = ("BTC", "ETH")


class Log:
    """An event log in memory."""

    def __init__(self) -> None:
        self.epoch, self.head, self.oldest, self.away = "one", 0, 1, False

    def grow(self, head: int) -> None:
        self.head = head
        wake(head)

    async def state(self) -> LogState:
        await self._answer()
        return LogState(self.epoch, self.head, self.oldest)

    async def entries_after(self, cursor: int, limit: int) -> list[Entry]:
        await self._answer()
        if cursor < self.oldest - 1:
            raise HoleError
        return [event(number) for number in range(cursor + 1, self.head + 1)[:limit]]

    async def close(self) -> None:
        pass

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise LogAwayError("away")


class Client:
    """A listener's other end; it takes frames while `reads` is set."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.closed: int | None = None
        self.gone = False
        self.listener = Listener(self._take, self._close, lambda: self.gone)

    async def _take(self, frames: Frames) -> None:
        await self.reads.wait()
        self.frames.extend(json.loads(text) for text in frames.texts)

    async def _close(self, code: int) -> None:
        self.closed = code

    def ids(self) -> list[int]:
        found = []
        for frame in self.frames:
            if frame["type"] == "trade_event":
                found.append(frame["data"]["id"])
            elif frame["type"] == "trade_events":
                found.extend(data["id"] for data in frame["data"])
        return found

    def types(self) -> list[str]:
        return [x["type"] for x in self.frames if x["type"] != "trade_event"]


def event(number: int) -> Entry:
    """Event `number`: of trader 0, 1 or 2, in one of two coins, worth its own number."""
    published = PublishedEvent(
        number, number % 3, address(number % 3), from_ms(STATE_MS), "OPEN", COINS[number % 2],
        "BUY", "0", "1", "1", str(number), "feed", False, False, STATE_MS, {},
    )  # fmt: skip
    return entry(published, from_ms(STATE_MS))


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (conditions of the code under test)
            await asyncio.sleep(0.005)


@pytest.fixture
async def log():
    return Log()


@pytest.fixture
async def hub(log, services):
    hub = Hub(log, log, ring=100)
    yield hub
    await hub.stop()


async def test_every_listener_gets_every_event_behind_its_head(hub, log):
    clients = []
    for head in range(0, 500, 100):
        log.head = head
        clients.append(Client())
        await hub.join(clients[-1].listener, "")
    log.grow(777)
    for client in clients:
        await until(lambda client=client: client.ids()[-1:] == [777])
        begin = client.frames[0]["head"]
        assert client.ids() == list(range(begin + 1, 778))


async def test_a_slow_listener_costs_the_others_nothing_and_misses_nothing(hub, log):
    slow, quick = Client(), Client()
    await hub.join(slow.listener, "")
    await hub.join(quick.listener, "")
    slow.reads.clear()
    log.grow(5)
    await until(lambda: quick.ids() == [1, 2, 3, 4, 5])
    log.grow(3000)  # far more than the ring holds
    await until(lambda: quick.ids()[-1] == 3000)
    assert slow.ids() == []

    slow.reads.set()
    await until(lambda: slow.ids() == list(range(1, 3001)))


async def test_a_listener_that_takes_nothing_is_closed(hub, log):
    hub._stall_seconds = 0.1
    stuck, alive = Client(), Client()
    await hub.join(stuck.listener, "")
    await hub.join(alive.listener, "")
    stuck.reads.clear()
    log.grow(1)

    await until(lambda: stuck.closed == STALLED)

    assert hub.sockets == 1
    assert alive.closed is None


async def test_a_new_log_resets_everybody_to_its_head(hub, log):
    log.head = 50
    client = Client()
    await hub.join(client.listener, "")
    log.epoch = "two"
    log.grow(7)
    await until(lambda: "reset" in client.types())
    # A heartbeat, whose moment is random, may come between.
    assert [kind for kind in client.types() if kind != "heartbeat"] == ["connection", "reset"]
    reset = next(frame for frame in client.frames if frame["type"] == "reset")
    assert (reset["epoch"], reset["head"]) == ("two", 7)
    log.grow(8)
    await until(lambda: client.ids() == [8])


async def test_who_lags_behind_what_is_kept_is_reset(hub, log):
    client = Client()
    await hub.join(client.listener, "")
    quick = Client()
    await hub.join(quick.listener, "")
    client.reads.clear()
    log.grow(1)
    await until(lambda: quick.ids() == [1])
    log.grow(1000)
    await until(lambda: quick.ids()[-1] == 1000)
    log.oldest = 900
    client.reads.set()
    await until(lambda: "reset" in client.types())
    log.grow(1001)
    await until(lambda: client.ids()[-1] == 1001)
    assert client.ids() == [1, 1001]


async def test_it_goes_on_where_it_was_when_the_log_is_back(hub, log):
    client = Client()
    await hub.join(client.listener, "")
    log.away = True
    log.head = 3
    late = Client()
    await hub.join(late.listener, "")
    log.away = False
    await until(lambda: client.ids() == late.ids() == [1, 2, 3])


async def test_nobody_joins_before_the_log_was_read(hub, log, monkeypatch):
    monkeypatch.setattr("web.hub.JOIN_WITHIN_SECONDS", 0.1)
    log.away = True
    with pytest.raises(LogAwayError):
        await hub.join(Client().listener, "")
