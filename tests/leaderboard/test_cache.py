"""The cache: one makes, all serve; a lost Redis costs time and nothing else."""

from __future__ import annotations

import threading
import time

import msgspec
import pytest

from leaderboard import cache
from leaderboard.cache import Page
from tests.leaderboard.conftest import begin_anew

pytestmark = pytest.mark.usefixtures("pages")


class Maker:
    """Makes numbered pages, slowly if wanted."""

    def __init__(self, *, age: float = 0):
        self.made = 0
        self.age = age
        self.may_finish = threading.Event()
        self.may_finish.set()
        self.began = threading.Event()

    def __call__(self) -> Page:
        self.made += 1
        body = f"page {self.made}".encode()
        self.began.set()
        self.may_finish.wait(10)
        return Page(body, f'"{self.made}"', time.time() - self.age)


def test_a_page_is_made_once_and_served_until_a_board_is_published():
    make = Maker()
    assert [cache.page("a", make).body for _ in range(3)] == [b"page 1"] * 3

    cache.published(7)

    assert [cache.page("a", make).body for _ in range(3)] == [b"page 2"] * 3
    assert cache.page("b", make).body == b"page 3"


def test_a_page_that_is_too_old_is_made_again(settings):
    make = Maker(age=settings.CONFIGURATION.leaderboard_cache_seconds + 1)
    cache.page("a", make)

    assert cache.page("a", make).body == b"page 2"


def test_while_one_makes_a_page_the_others_get_the_old_one():
    make = Maker()
    cache.page("a", make)
    cache.published(2)
    make.may_finish.clear()
    make.began.clear()
    builder = threading.Thread(target=cache.page, args=("a", make))
    builder.start()
    assert make.began.wait(10)

    assert [cache.page("a", make).body for _ in range(5)] == [b"page 1"] * 5

    make.may_finish.set()
    builder.join(10)
    assert cache.page("a", make).body == b"page 2"
    assert make.made == 2


def test_the_first_page_is_made_by_one_and_awaited_by_the_others():
    make = Maker()
    make.may_finish.clear()
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(cache.page("a", make).body)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert make.began.wait(10)
    make.may_finish.set()
    for thread in threads:
        thread.join(10)

    assert got == [b"page 1"] * 4
    assert make.made == 1


def test_a_builder_that_fails_does_not_keep_the_lock():
    def fail() -> Page:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.page("a", fail)

    assert cache.page("a", Maker()).body == b"page 1"


def test_without_redis_every_page_is_made_and_redis_is_left_alone_for_a_while(settings):
    settings.CACHES = settings.CACHES | {
        "leaderboard": settings.CACHES["leaderboard"] | {"LOCATION": "redis://127.0.0.1:1/1"}
    }
    begin_anew()
    make = Maker()

    assert [cache.page("a", make).body for _ in range(2)] == [b"page 1", b"page 2"]
    assert cache.facts()["redis_connected"] is False
    with pytest.raises(cache.AwayError):
        cache.clear()
    cache.published(3)


def test_clearing_removes_our_pages_and_nothing_else(pages):
    other = pages._cache.get_client(None, write=True)
    other.set("somebody's", b"x", ex=60)
    make = Maker()
    cache.page("a", make)
    cache.page("b", make)

    assert cache.clear() == 2
    assert cache.clear() == 0

    assert other.get("somebody's") == b"x"
    assert cache.page("a", make).body == b"page 3"


def test_what_readers_can_fill_is_bounded(pages):
    make = Maker()
    pages.set(cache.BYTES, cache.MOST_BYTES, 60)

    assert [cache.page("a", make).body for _ in range(2)] == [b"page 1", b"page 2"]


def test_hits_and_misses_are_counted_over_all_processes():
    make = Maker()
    for _ in range(3):
        cache.page("a", make)
    cache._health.written_at = 0
    cache.page("a", make)

    facts = cache.facts()

    assert (facts["hits"], facts["misses"], facts["redis_connected"]) == (3, 1, True)
    assert 0 <= facts["age_seconds"] < 60


def test_a_foreign_value_in_our_place_is_no_answer(pages):
    client = pages._cache.get_client(None, write=True)
    client.set(pages.make_key(cache.PAGE + "a"), b"\xc1 not ours")

    assert cache.page("a", Maker()).body == b"page 1"


def test_what_is_stored_is_messagepack_and_integers_stay_countable(pages):
    client = pages._cache.get_client(None, write=True)
    cache.page("a", Maker())
    stored = client.get(pages.make_key(cache.PAGE + "a"))

    assert msgspec.msgpack.decode(stored)["body"] == b"page 1"
    pages.set("n", -5)
    assert pages.get("n") == -5
