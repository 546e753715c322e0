"""Each alert provoked in a book of its own, seen to rise, recorded, and seen to clear."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest
import redis
from django.db.models import F
from django.db.models.functions import Now

from exchange.shared_budget import SharedBudget
from hlcopy import heartbeats, measurements
from hlcopy.clock import utc_now
from hlcopy.models import Alert, Heartbeat, JobHealth, JobRun, Measurement
from hlcopy.periodic import JOBS, database_now, send_due
from hlcopy.slots import slot_at
from simulator import Simulator, SimulatorConfig
from tests.traders.book import add_trader
from tests.traders.passes import meet
from tests.web.test_stats import age_samples, report
from traders import measuring, tasks
from traders.models import FeedSocket, Trader
from web import alerts, watching

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _well(settings):
    """A feed that trades and processes that live: nothing to tell."""
    settings.CONFIGURATION = msgspec.structs.replace(
        settings.CONFIGURATION, tracking_interval_seconds=75
    )
    for role in (Heartbeat.Role.SCHEDULER, Heartbeat.Role.WORKER):
        heartbeats.beat(role)
        Heartbeat.objects.update(name=F("role"))
    report(trades=1)
    assert watched() == set()
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.delete(*(f"{{budget:hyperliquid}}:{key}" for key in ("state", "log", "peaks")))


def watched():
    """Watch once more; return the open alerts, which are those that the numbers tell."""
    told = {alert["code"] for alert in watching.watch()["alerts"]}
    assert set(Alert.objects.filter(cleared_at=None).values_list("code", flat=True)) == told
    return told


def history(code):
    """Return how often the alert was raised, and how often cleared."""
    rows = Alert.objects.filter(code=code)
    return rows.count(), rows.exclude(cleared_at=None).count()


def test_a_feed_that_falls_silent_and_trades_again():
    age_samples(61)
    assert watched() == {"feed_silent"}
    report(trades=2)
    assert watched() == set()
    assert history("feed_silent") == (1, 1)


def test_a_feed_that_reconnects_seven_times_in_an_hour():
    report(trades=2, reconnects=6)
    assert watched() == set()
    report(trades=3, reconnects=7)
    assert watched() == {"feed_reconnects"}
    age_samples(3601)
    report(trades=4, reconnects=7)
    assert watched() == set()
    FeedSocket.objects.all().delete()
    report(trades=1, reconnects=7, number=5)  # a new process, which has its own seven
    assert watched() == {"feed_reconnects"}


@pytest.mark.parametrize(("name", "role"), [("worker", "worker"), ("scheduler", "scheduler")])
def test_a_process_that_is_not_there_for_two_slots(name, role):
    Heartbeat.objects.filter(role=role).update(seen_at=Now() - timedelta(seconds=149))
    assert watched() == set()
    Heartbeat.objects.filter(role=role).update(seen_at=Now() - timedelta(seconds=151))
    assert watched() == {f"{name}_gone"}
    Heartbeat.objects.filter(role=role).update(seen_at=Now())
    assert watched() == set()


def test_weight_above_97_percent_as_the_budget_counted_it(settings):
    async def spend() -> None:
        async with SharedBudget(settings.REDIS_URL, per_minute=1200) as budget:
            await budget.open()
            for _ in range(12):
                permit = await budget.reserve(100)
                await budget.settle(permit, 100)

    asyncio.run(spend())
    measured = asyncio.run(tasks.weight())
    assert measured["peak"] == 1200
    measurements.store("weight", measured)
    assert watched() == {"weight_high"}
    measurements.store("weight", measured | {"peak": 1100})
    assert watched() == set()


def test_a_429_for_ten_minutes_after_the_last():
    measurements.store("weight", {"used": 0, "peak": 0, "http_429_total": 0})
    assert watched() == set()
    measurements.store("weight", {"used": 0, "peak": 0, "http_429_total": 1})
    assert watched() == {"http_429"}
    age_samples(600)
    report(trades=2)
    assert watched() == set()
    measurements.store("weight", {"used": 0, "peak": 0, "http_429_total": 0})  # Redis wiped
    assert watched() == set()


def run_a_pass(settings, url):
    """Send the present slot as a scheduler, and run it as a worker."""
    settings.CONFIGURATION = msgspec.structs.replace(
        settings.CONFIGURATION, hyperliquid_api_url=url, tracking_weight_per_pass=200
    )

    async def open_() -> None:
        async with SharedBudget(settings.REDIS_URL, per_minute=1100) as budget:
            await budget.open()

    asyncio.run(open_())
    JobRun.objects.update(slot=F("slot") - 1)
    now = database_now()
    send_due(now)
    JOBS["track_traders"].actor.fn(slot_at(now, JOBS["track_traders"].seconds))


def test_a_pass_that_the_exchange_refuses_and_one_that_it_serves(settings):
    with Simulator(SimulatorConfig(seed=4, traders=20, warmup_trades=200)) as sim:
        meet(sim.traders())
        with sim.fault(rest_status=500, rest_every=1):
            run_a_pass(settings, sim.api_url)
        assert watched() == {"pass_failed"}
        Trader.objects.update(retry_at=None)
        run_a_pass(settings, sim.api_url)
        assert watched() == set()
    assert history("pass_failed") == (1, 1)


def test_a_pass_that_outlasts_its_interval():
    now = utc_now()
    run = JobRun.objects.create(
        job="track_traders", slot=1, state="running", sent_at=now, started_at=now - HOUR
    )
    assert watched() == {"pass_late"}
    times = {"started_at": now - timedelta(seconds=76), "finished_at": now}
    JobRun.objects.filter(pk=run.pk).update(state="done", **times)
    assert watched() == {"pass_late"}
    JobRun.objects.filter(pk=run.pk).update(started_at=now)
    assert watched() == set()
    assert history("pass_late") == (1, 1)


def test_a_rotation_that_is_late(settings):
    trader = add_trader()
    Trader.objects.filter(pk=trader.pk).update(last_tracked_at=Now() - timedelta(seconds=91))
    measurements.store("rotation", measuring.rotation())
    assert watched() == {"rotation_late"}  # one trader is due in every pass of 75 s
    Trader.objects.filter(pk=trader.pk).update(last_tracked_at=Now())
    measurements.store("rotation", measuring.rotation())
    assert watched() == set()


def test_a_disk_without_room(monkeypatch):
    monkeypatch.setattr(alerts, "LEAST_DISK_BYTES", 10**18)
    assert watched() == {"disk_low"}
    monkeypatch.undo()
    assert watched() == set()


def test_a_job_in_quarantine():
    JobHealth.objects.create(job="score", seconds=600, deaths=3, quarantined_at=utc_now())
    assert watched() == {"job_quarantined"}
    JobHealth.objects.update(quarantined_at=utc_now() - HOUR)
    assert watched() == set()


def test_what_was_measured_long_ago_raises_nothing():
    measurements.store("weight", {"used": 1200, "peak": 1200, "http_429_total": 0})
    Measurement.objects.update(measured_at=Now() - HOUR)
    assert watched() == set()
