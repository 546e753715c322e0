"""`GET /api/v1/stats`: every number, true where known and null where not."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db.models.functions import Now

from hlcopy import heartbeats, measurements
from hlcopy.clock import utc_now
from hlcopy.models import Alert, Heartbeat, JobHealth, JobRun, Measurement, StatSample
from tests.traders.book import (
    STATE_MS,
    add_coin,
    add_correction,
    add_cursor,
    add_events,
    add_gap,
    add_trader,
    follow,
)
from traders import coverage, measuring
from traders.models import FeedGap, FeedSocket, Trader
from traders.socket_report import SocketReport
from web import watching

pytestmark = pytest.mark.django_db
CONTRACT = {
    "database": {"total_traders", "active_traders", "total_trade_events", "size_bytes"},
    "feed": {
        *("connected", "since", "sockets", "reconnects_total", "reconnects_last_hour"),
        *("trades_per_second", "new_traders_per_minute", "last_trade_age_seconds", "open_gaps"),
        *("gaps_last_day", "bad_frames", "silent_coins"),
    },
    "tracking": {
        *("last_pass_at", "pass_seconds", "batches_ok", "batches_failed", "traders_ok"),
        *("traders_failed", "rotation_seconds", "healing"),
    },
    "weight": {
        *("used_last_60s", "configured", "limit", "peak_last_hour", "http_429_total"),
        "measured_at",
    },
    "websocket": {"active_connections", "lagging", "closed_slow"},
    "cache": {"redis_connected", "age_seconds", "hits", "misses"},
    "jobs": {"schedulers", "workers", "periodic"},
    "drift": {"total", "last_day"},
}


def ask(client):
    answer = client.get("/api/v1/stats")
    assert answer.status_code == 200, answer.content
    return answer.json()


def report(trades=100, reconnects=0, number=0):
    """Write a socket's row as the stream process does."""
    coverage.report(
        [
            SocketReport(
                name=f"host:1/{number}",
                connected=True,
                since_at=utc_now(),
                coins=["BTC"],
                newest_block_ms=None,
                trades=trades,
                bad_frames=2,
                reconnects=reconnects,
                last_error="",
            )
        ]
    )


def age_samples(seconds):
    """Let the samples be older than they are."""
    for sample in StatSample.objects.all():
        sample.sampled_at -= timedelta(seconds=seconds)
        counters = sample.values["counters"]
        for key in ("at", "watching_since", "last_trade_at", "last_429_at"):
            if counters.get(key):
                moment = utc_now().fromisoformat(counters[key]) - timedelta(seconds=seconds)
                counters[key] = moment.isoformat()
        sample.save()


def test_it_has_every_key_of_the_contract_and_nothing_is_invented(client):
    content = ask(client)

    assert set(content) == {"time", "alerts", *CONTRACT}
    for key, names in CONTRACT.items():
        assert set(content[key]) == names
    assert set(content["tracking"]["rotation_seconds"]) == {"p50", "p95", "oldest"}
    assert content["feed"] == {
        **dict.fromkeys(CONTRACT["feed"]),
        "connected": False,
        **dict.fromkeys(("sockets", "reconnects_total", "reconnects_last_hour"), 0),
        **dict.fromkeys(("open_gaps", "gaps_last_day"), 0),
    }
    assert content["drift"] == {"total": 0, "last_day": 0}
    assert content["tracking"]["healing"] == 0
    assert content["database"]["active_traders"] is None
    assert content["weight"]["used_last_60s"] is None


def test_the_feed_is_counted_over_samples(client):
    report(trades=100)
    report(trades=50, number=1)
    watching.watch()
    age_samples(10)
    report(trades=400, reconnects=2)
    report(trades=340, number=1)
    watching.watch()

    feed = ask(client)["feed"]
    assert (feed["connected"], feed["sockets"], feed["bad_frames"]) == (True, 2, 4)
    assert feed["trades_per_second"] == pytest.approx(30, rel=0.1)
    assert feed["last_trade_age_seconds"] < 5
    assert feed["reconnects_last_hour"] == feed["reconnects_total"] == 2


def test_since_when_the_feed_is_away_does_not_move_on_with_whoever_tries(client):
    report()
    report(number=1)
    lost, seen = utc_now() - timedelta(seconds=40), utc_now() - timedelta(seconds=20)
    FeedSocket.objects.update(connected=False, since_at=lost)
    assert datetime.fromisoformat(ask(client)["feed"]["since"]) == lost

    FeedSocket.objects.update(connected=True, seen_at=seen)
    feed = ask(client)["feed"]
    assert (feed["connected"], datetime.fromisoformat(feed["since"])) == (False, seen)


def test_gaps_and_silent_coins_are_counted_by_coin(client):
    add_coin("DEAD", is_delisted=True)
    for coin, newest_ms in (("BTC", STATE_MS), ("ETH", STATE_MS - 60_001), ("SOL", 1), ("DEAD", 1)):
        add_cursor(coin, gap_until_ms=1, newest_ms=newest_ms)
    follow("BTC", "ETH", "NEW", until_ms=STATE_MS)
    add_gap("BTC", 1, 2)
    add_gap("SOL", 1, 2)
    FeedGap.objects.filter(coin="BTC").update(noted_at=Now() - timedelta(hours=25))

    feed = ask(client)["feed"]
    assert (feed["open_gaps"], feed["gaps_last_day"], feed["silent_coins"]) == (1, 1, 1)

    FeedSocket.objects.update(seen_at=Now() - timedelta(seconds=6))
    feed = ask(client)["feed"]
    assert (feed["open_gaps"], feed["silent_coins"]) == (3, None)


def test_who_waits_for_healing_and_what_has_drifted_is_counted(client):
    trader, _other = add_trader(1), add_trader(2)
    Trader.objects.filter(pk=trader.pk).update(healing="doubt")
    for cause, hours in (("drift", 1), ("drift", 25), ("gap", 1)):
        add_correction(trader, cause=cause, corrected_at=utc_now() - timedelta(hours=hours))

    content = ask(client)
    assert content["tracking"]["healing"] == 1
    assert content["drift"] == {"total": 2, "last_day": 1}


def test_an_old_sample_says_nothing_of_now(client):
    report()
    watching.watch()
    age_samples(61)
    Heartbeat.objects.all().delete()

    # Nobody has watched for a minute, so this request does: a rate needs two samples.
    feed = ask(client)["feed"]
    assert StatSample.objects.count() == 2
    assert feed["trades_per_second"] is None


def test_what_the_workers_measured_is_shown_while_it_is_young(client):
    first, *_ = [add_trader(number) for number in range(3)]
    Trader.objects.filter(pk=first.pk).update(last_tracked_at=Now() - timedelta(seconds=500))
    measurements.store("rotation", measuring.rotation())
    measurements.store("active_traders", {"active": measuring.active_traders()})
    measurements.store("weight", {"used": 800, "peak": 1000, "http_429_total": 0})

    content = ask(client)
    rotation = content["tracking"]["rotation_seconds"]
    assert [rotation[key] for key in ("p50", "p95", "oldest")] == pytest.approx([500] * 3, abs=5)
    assert content["feed"]["new_traders_per_minute"] == content["database"]["total_traders"] == 3
    assert content["database"]["active_traders"] == 0
    assert content["weight"]["used_last_60s"] == 800

    Measurement.objects.update(measured_at=Now() - timedelta(days=1))
    content = ask(client)
    assert content["weight"]["used_last_60s"] is None
    assert content["tracking"]["rotation_seconds"]["p50"] is None


def test_the_last_pass_and_the_jobs_are_told(client):
    now = utc_now()
    JobHealth.objects.create(job="track_traders", seconds=75)
    JobHealth.objects.create(job="score", seconds=600, deaths=3, quarantined_at=now)
    summary = {"seconds": 40.5, "batches_ok": 9, "batches_failed": 1, "traders_ok": 450}
    times = {"sent_at": now, "started_at": now - timedelta(seconds=41), "finished_at": now}
    JobRun.objects.create(job="track_traders", slot=7, state="done", summary=summary, **times)
    heartbeats.beat(Heartbeat.Role.WORKER)

    content = ask(client)
    assert content["tracking"]["pass_seconds"] == 40.5
    assert content["tracking"]["batches_failed"] == 1
    assert content["tracking"]["traders_failed"] is None
    assert content["jobs"]["workers"] == 1
    assert content["jobs"]["periodic"]["track_traders"]["run_seconds"] == 41
    assert content["jobs"]["periodic"]["score"]["state"] == "quarantined"
    assert "job_quarantined" in {alert["code"] for alert in content["alerts"]}


def test_an_alert_is_recorded_and_logged_once_and_cleared_once(client, caplog):
    for _ in range(3):
        watching.watch()
    raised = [each for each in caplog.messages if "alert=worker_gone" in each]
    assert len(raised) == 1
    assert "state=raised" in raised[0]
    since = Alert.objects.get(code="worker_gone").since
    shown = {alert["code"]: alert["since"] for alert in ask(client)["alerts"]}
    assert shown["worker_gone"] == since.isoformat().replace("+00:00", "Z")

    heartbeats.beat(Heartbeat.Role.WORKER)
    for _ in range(3):
        watching.watch()
    cleared = [each for each in caplog.messages if "alert=worker_gone state=cleared" in each]
    assert len(cleared) == 1
    assert Alert.objects.get(code="worker_gone").cleared_at is not None
    assert "worker_gone" not in {alert["code"] for alert in ask(client)["alerts"]}


def test_the_events_are_read_from_the_head_and_no_table_is_counted(
    client, django_assert_max_num_queries
):
    add_events(add_trader(), 4)
    watching.watch()
    with django_assert_max_num_queries(30) as asked:
        content = ask(client)

    assert content["database"]["total_trade_events"] == 4
    for query in asked.captured_queries:
        sql = query["sql"].lower()
        assert "count(*)" not in sql or "limit" in sql, sql
    assert FeedSocket.objects.count() == 0
