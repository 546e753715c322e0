"""Pages of the leaderboard, kept in Redis: one process makes a page, all others serve it.

A page is fresh for LEADERBOARD_CACHE_SECONDS, or until a board is published. After that one request
makes it anew, under a lock, and the others get the old one meanwhile. Without Redis every page is
made from the database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache as once
from typing import Any

import redis
from django.conf import settings
from django.core.cache import BaseCache, caches
from msgspec import DecodeError, Struct

logger = logging.getLogger(__name__)
BUILD_SECONDS = 10  # a builder that takes longer is believed dead
WAIT_SECONDS = 2.0  # for a page that somebody else makes, where there is no old one
LOOK_EVERY_SECONDS = 0.05
REST_SECONDS = 2.0  # after a failure Redis is left alone so long
#: Readers choose the parameters, so what they can fill is bounded.
MOST_BYTES = 32 * 1024 * 1024
PAGE, LOCK, COUNT = "page:", "lock:", "count:"
PUBLISHED, BYTES, MADE_AT = "published", "bytes", "made_at"
FAILURES = (redis.RedisError, OSError)


class Page(Struct, frozen=True):
    """A made answer: its bytes, its tag, and when it was made (seconds since 1970)."""

    body: bytes
    etag: str
    made_at: float
    published: int = 0  # the number of the newest publication when it was made


class AwayError(Exception):
    """Redis does not answer."""


@once
def store() -> BaseCache:
    """Return the process' one client (Django would make one for each request)."""
    return caches.create_connection("leaderboard")


class _Health:
    """When Redis may be asked again, and what was counted and not yet written there."""

    def __init__(self) -> None:
        self.rests_until = 0.0
        self.counted: Counter[str] = Counter()
        self.written_at = 0.0
        self.lock = threading.Lock()


_health = _Health()


@contextmanager
def asking() -> Iterator[BaseCache]:
    """Give the cache; raises AwayError if Redis fails, or failed a moment ago."""
    if time.monotonic() < _health.rests_until:
        raise AwayError
    try:
        yield store()
    except DecodeError as foreign:
        raise AwayError from foreign
    except FAILURES as failure:
        _health.rests_until = time.monotonic() + REST_SECONDS
        logger.warning("leaderboard cache away reason=%s", type(failure).__name__)
        raise AwayError from failure


def page(key: str, make: Callable[[], Page]) -> Page:
    """Return the page of a key, made by `make` if nobody has a fresh one."""
    try:
        with asking() as cache:
            found, newest = _look(cache, key)
            if found and _fresh(found, newest):
                count("hits")
                return found
            if cache.add(LOCK + key, 1, BUILD_SECONDS):
                return _make(cache, key, newest, make)
            if found is None:
                found = _wait(cache, key)
            if found is not None:
                count("hits")
                return found
    except AwayError:
        pass
    count("misses")
    return make()


def _look(cache: BaseCache, key: str) -> tuple[Page | None, int]:
    found = cache.get_many([PAGE + key, PUBLISHED])
    stored = found.get(PAGE + key)
    return (Page(**stored) if stored else None), found.get(PUBLISHED, 0)


def _fresh(found: Page, newest: int) -> bool:
    return (
        found.published == newest
        and time.time() < found.made_at + settings.CONFIGURATION.leaderboard_cache_seconds
    )


def _make(cache: BaseCache, key: str, newest: int, make: Callable[[], Page]) -> Page:
    """Make the page and keep it; the caller holds its lock."""
    count("misses")
    try:
        made = make()
        made = Page(made.body, made.etag, made.made_at, newest)
        kept_seconds = 2 * settings.CONFIGURATION.leaderboard_cache_seconds
        cache.add(BYTES, 0, kept_seconds)
        if cache.incr(BYTES, len(made.body)) <= MOST_BYTES:
            fields = {name: getattr(made, name) for name in made.__struct_fields__}
            cache.set(PAGE + key, fields, kept_seconds)
            cache.set(MADE_AT, made.made_at, kept_seconds)
        return made
    finally:
        cache.delete(LOCK + key)


def _wait(cache: BaseCache, key: str) -> Page | None:
    """Wait for the page that somebody else makes; None if that takes too long."""
    give_up_at = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < give_up_at:
        time.sleep(LOOK_EVERY_SECONDS)
        found, _ = _look(cache, key)
        if found is not None:
            return found
    return None


def published(generation: int) -> None:
    """Make every page stale: there is a new board."""
    try:
        with asking() as cache:
            cache.set(PUBLISHED, generation, timeout=None)
    except AwayError:
        logger.warning("new board not announced to the cache: pages stay as long as they may")


def clear() -> int:
    """Remove our pages, and nothing else of the database; return how many there were."""
    with asking() as cache:
        client: redis.Redis = cache._cache.get_client(None, write=True)  # type: ignore[attr-defined]  # no other way to list keys
        removed = 0
        for name in client.scan_iter(match=cache.make_key(PAGE + "*"), count=1000):
            removed += int(client.unlink(name))
        cache.delete_many([BYTES, MADE_AT])
    return removed


def count(what: str, number: int = 1) -> None:
    """Count hits or misses; written to Redis at most once a second."""
    with _health.lock:
        _health.counted[what] += number
        if time.monotonic() < _health.written_at + 1:
            return
        _health.written_at = time.monotonic()
        counted, _health.counted = _health.counted, Counter()
    try:
        with asking() as cache:
            for name, times in counted.items():
                cache.add(COUNT + name, 0, timeout=None)
                cache.incr(COUNT + name, times)
    except AwayError:
        with _health.lock:
            _health.counted.update(counted)


def facts() -> dict[str, Any]:
    """Return what an operator asks: whether Redis answers, the newest page's age, hits and misses.

    Hits and misses are those of all processes since Redis was last emptied, a second old.
    """
    try:
        with asking() as cache:
            names = [COUNT + "hits", COUNT + "misses"]
            counted = cache.get_many([*names, MADE_AT])
    except AwayError:
        return {"redis_connected": False, "age_seconds": None, "hits": None, "misses": None}
    return {
        "redis_connected": True,
        "age_seconds": round(time.time() - counted[MADE_AT], 1) if MADE_AT in counted else None,
        "hits": counted.get(names[0], 0),
        "misses": counted.get(names[1], 0),
    }
