"""What readiness tells of the feed, of tracking, of Redis and of the schema."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection

from hlcopy.clock import now_ms, utc_now
from hlcopy.models import JobRun
from tests.traders.book import add_coin, add_cursor
from tests.web.server import WebServer, free_port, until
from traders.models import FeedSocket


def socket(name, *, connected=True, seen=0, since=60, error="", coins=()):
    """Write one socket's row; `seen` and `since` are seconds ago."""
    now = utc_now()
    return FeedSocket.objects.create(
        name=name,
        connected=connected,
        since_at=now - timedelta(seconds=since),
        seen_at=now - timedelta(seconds=seen),
        newest_block_ms=now_ms() - 1000,
        last_error=error,
        coins=list(coins),
    )


def test_the_feed_is_told_from_the_sockets_that_live(book, server):
    status, content = server.get("/health/ready")
    assert (status, content["status"]) == (200, "degraded")
    assert content["feed"] == {
        "connected": False,
        "since": None,
        "sockets": 0,
        "last_error": None,
        "last_block_age_seconds": None,
        "coins": 0,
        "open_gaps": 0,
    }

    add_coin("DEAD", is_delisted=True)
    for coin in ("BTC", "ETH", "SOL", "DEAD"):
        add_cursor(coin, gap_until_ms=1)
    old = socket("a:1/0", since=100, coins=["BTC", "ETH"])
    socket("a:1/1", since=50, coins=["BTC", "NEW"])
    socket("b:2/0", connected=False, error="timed out", coins=["SOL"])
    socket("c:3/0", seen=30, coins=["SOL"])
    until(lambda: server.get("/health/ready")[1]["feed"]["connected"])
    status, content = server.get("/health/ready")
    assert (status, content["status"], content["reasons"]) == (200, "ready", [])
    feed = content["feed"]
    assert (feed["sockets"], feed["last_error"]) == (2, "timed out")
    assert feed["since"] == old.since_at.isoformat().replace("+00:00", "Z")
    assert 1 <= feed["last_block_age_seconds"] < 60
    assert (feed["coins"], feed["open_gaps"]) == (3, 1)

    lost_at = utc_now() - timedelta(seconds=20)
    FeedSocket.objects.filter(connected=True).update(seen_at=lost_at)
    until(lambda: not server.get("/health/ready")[1]["feed"]["connected"])
    feed = server.get("/health/ready")[1]["feed"]
    assert feed["since"] > lost_at.isoformat()  # socket b said that it lost its connection later


def test_the_last_pass_of_tracking_is_told(book, server):
    JobRun.objects.create(
        job="track_traders", slot=1, state="done", sent_at=utc_now(), finished_at=utc_now()
    )
    until(lambda: server.get("/health/ready")[1]["tracking"]["last_pass_at"])


def test_a_dead_redis_degrades_and_a_missing_migration_is_not_ready(book, services):
    server = WebServer(f"redis://127.0.0.1:{free_port()}/0")
    server.start()
    try:
        status, content = server.get("/health/ready")
        assert (status, content["redis"]) == (200, {"connected": False})
        assert "Redis does not answer" in content["reasons"][0]

        with connection.cursor() as cursor:
            cursor.execute("UPDATE django_migrations SET name = '-' || name WHERE app = 'traders'")
        until(lambda: server.get("/health/ready")[0] == 503)
        content = server.get("/health/ready")[1]
        assert content["database"] == {"connected": True, "migrated": False}
        assert "run `manage.py migrate`" in content["reasons"][0]
    finally:
        server.stop()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE django_migrations SET name = ltrim(name, '-')")
