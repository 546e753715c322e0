"""How long a snapshot waits for the feed to come past it."""

from __future__ import annotations

import asyncio
import time

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from tests.traders.book import follow
from traders import following
from traders.following import FeedAhead

pytestmark = pytest.mark.django_db(transaction=True)
T = 1_760_000_000_000


class Clock:
    """A clock that only sleeping moves; `at` does something at a time."""

    def __init__(self, **at):
        self.now, self.slept = 1000.0, 0.0
        self._at = {float(name[1:]): done for name, done in at.items()}

    def monotonic(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds
        self.slept += seconds
        for due in [due for due in self._at if due <= self.slept]:
            await sync_to_async(self._at.pop(due))()


def past(time_ms, clock):
    return async_to_sync(FeedAhead(clock=clock.monotonic, sleep=clock.sleep).past)(time_ms)


def test_without_a_feed_nothing_is_waited_for():
    clock = Clock()

    assert past(T, clock) == frozenset()
    assert clock.slept == 0


def test_a_feed_that_is_two_seconds_past_the_snapshot_is_not_waited_for():
    follow("BTC", "ETH", until_ms=T + 2_000)
    clock = Clock()

    assert past(T, clock) == {"BTC", "ETH"}
    assert clock.slept == 0


@pytest.mark.parametrize("behind", [T + 1_999, None])
def test_every_socket_must_come_past_it(behind):
    follow("BTC", until_ms=T + 9_000)
    follow("ETH", until_ms=behind, name="host:1/1")
    clock = Clock(s3=lambda: follow("ETH", until_ms=T + 2_000, name="host:1/1"))

    assert past(T, clock) == {"BTC", "ETH"}
    assert 3 <= clock.slept < 4


def test_a_coin_that_one_socket_is_past_is_not_waited_for():
    follow("BTC", until_ms=T)
    follow("BTC", until_ms=T + 9_000, name="host:1/1")

    assert past(T, Clock()) == {"BTC"}


def test_there_is_no_verdict_after_half_a_minute():
    keep = {f"s{n}": (lambda: follow("BTC", until_ms=T)) for n in range(1, 31)}
    follow("BTC", until_ms=T)
    clock = Clock(**keep)

    assert past(T, clock) is None
    assert following.PATIENCE_SECONDS <= clock.slept < following.PATIENCE_SECONDS + 1


def test_a_socket_that_dies_is_waited_for_no_longer():
    follow("BTC", until_ms=T)
    clock = Clock(s2=lambda: follow("BTC", until_ms=T, connected=False))

    assert past(T, clock) == frozenset()


def test_many_snapshots_look_together(django_assert_max_num_queries):
    follow("BTC", until_ms=T + 9_000)

    async def all_():
        feed = FeedAhead()
        return await asyncio.gather(*(feed.past(T) for _ in range(50)))

    began = time.monotonic()
    assert set(async_to_sync(all_)()) == {frozenset({"BTC"})}
    assert time.monotonic() - began < following.PATIENCE_SECONDS
