"""The leaderboard's cache for a test: empty at first, its connections closed at the end."""

from __future__ import annotations

import pytest

from leaderboard import cache


def forget(store):
    """Remove our keys, not those of others."""
    client = store._cache.get_client(None, write=True)
    for key in client.scan_iter(match=store.make_key("*")):
        client.delete(key)


def begin_anew():
    """Do as a new process does."""
    for pool in cache.store()._cache._pools.values():  # type: ignore[attr-defined]  # no other way
        pool.disconnect()
    cache.store.cache_clear()
    cache._health = cache._Health()


@pytest.fixture
def pages(services):
    """The cache's client."""
    begin_anew()
    forget(cache.store())
    yield cache.store()
    begin_anew()
