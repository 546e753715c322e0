"""Each alert provoked by faults of the simulated exchange, through the processes' own code.

Nobody writes a row by hand: faults strike, jobs and the stream process run, processes end. Where an
alert waits for time to pass, the watch is told a later `now`. A full disk and a job that kills its
workers: `test_alerts_processes`.
"""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta

import msgspec
import pytest
import redis
from django.db.models import F, Sum

from exchange.liveness import Patience
from exchange.shared_budget import SharedBudget
from hlcopy.models import Alert, JobRun
from hlcopy.periodic import database_now, send_due
from hlcopy.slots import slot_at
from simulator import Simulator, SimulatorConfig
from simulator.config import Limits
from tests.discovery.live import covering, discovering, market
from tests.hlcopy.test_periodic_processes import Fleet
from tests.traders.passes import meet
from tests.web.server import database_url, until
from traders.models import FeedSocket, Trader
from traders.tasks import measure_rotation, measure_weight, track_traders
from web import watching

pytestmark = pytest.mark.django_db(transaction=True)
UNLIMITED = Limits(weight_per_minute=10**6, new_connections_per_minute=10**6)
KEYS = {name: f"{{budget:hyperliquid}}:{name}" for name in ("state", "log", "peaks")}
DAY_SECONDS = 86_400


class Watch:
    """The watch, so much later than it is; and what was logged of an alert."""

    def __init__(self, caplog) -> None:
        self.later = timedelta()
        self._caplog = caplog

    def __call__(self) -> set[str]:
        """Watch once; return the alerts that are open."""
        watching.watch(database_now() + self.later)
        return set(Alert.objects.filter(cleared_at=None).values_list("code", flat=True))

    def logged(self, code: str) -> list[str]:
        """Return every change of the alert that was logged."""
        begin = f"alert={code} state="
        lines = [line for line in self._caplog.messages if line.startswith(begin)]
        return [line.removeprefix(begin).split()[0] for line in lines]


@pytest.fixture
def watch(caplog, settings, services):
    """The watch of an installation that has spent nothing."""
    configure(settings, tracking_interval_seconds=75)
    open_budget(settings)
    return Watch(caplog)


def configure(settings, **changes):
    """Change the configuration."""
    settings.CONFIGURATION = msgspec.structs.replace(settings.CONFIGURATION, **changes)


def open_budget(settings):
    """Say that nothing was spent: a closed budget would cost a real minute."""

    async def open_() -> None:
        async with SharedBudget(settings.REDIS_URL, per_minute=1200) as budget:
            await budget.open()

    with redis.Redis.from_url(settings.REDIS_URL) as client:
        client.delete(*KEYS.values())
    asyncio.run(open_())


def run_job(job):
    """Send the job's present slot as a scheduler does, and run it as a worker does."""
    for run in JobRun.objects.order_by("slot"):  # its earlier runs become those of earlier slots
        JobRun.objects.filter(pk=run.pk).update(slot=F("slot") - 1)
    now = database_now()
    send_due(now)
    job.actor.fn(slot_at(now, job.seconds))


def test_a_feed_that_falls_silent_and_speaks_again(watch):
    def a_minute_later():
        watch.later += timedelta(seconds=61)
        return "feed_silent" in watch()

    def all_is_told(discovery):
        told = FeedSocket.objects.aggregate(Sum("trades"))["trades__sum"]
        return told == sum(feed.intake.trades for feed in discovery.sockets)

    with Simulator(market(limits=UNLIMITED)) as sim, discovering(sim) as discovery:
        sim.run(20)
        until(lambda: FeedSocket.objects.filter(trades__gt=0).exists())
        assert "feed_silent" not in watch()
        with sim.fault(silence=True):
            until(lambda: all_is_told(discovery))
            until(a_minute_later)
            assert "feed_silent" in watch()
        until(lambda: "feed_silent" not in watch())

    assert watch.logged("feed_silent") == ["raised", "cleared"]


def test_a_feed_that_is_cut_seven_times_in_an_hour(watch):
    def reconnects():
        return FeedSocket.objects.aggregate(Sum("reconnects"))["reconnects__sum"]

    quick = Patience(healthy_after=0.01)
    with Simulator(market(limits=UNLIMITED)) as sim, discovering(sim, patience=quick):
        until(lambda: covering("BTC", "ETH"))
        watch()
        for cut in range(1, 5):  # both sockets each time
            assert "feed_reconnects" not in watch()
            sim.drop()
            until(lambda: reconnects() >= 2 * cut and covering("BTC", "ETH"))  # noqa: B023
        assert "feed_reconnects" in watch()
        assert "feed_reconnects" in watch()
        watch.later += timedelta(seconds=3601)
        assert "feed_reconnects" not in watch()

    assert watch.logged("feed_reconnects") == ["raised", "cleared"]


def test_requests_that_are_refused_with_429(watch, settings):
    def asked_in_vain():
        run_job(measure_weight)
        return "http_429" in watch()

    with Simulator(SimulatorConfig(seed=4, traders=20, warmup_trades=200)) as sim:
        configure(settings, hyperliquid_api_url=sim.api_url, tracking_interval_seconds=2)
        meet(sim.traders())
        run_job(measure_weight)
        assert watch().isdisjoint({"http_429", "pass_failed"})
        with sim.fault(rest_status=429):
            # A pass that begins right before its slot ends asks for nothing.
            until(lambda: run_job(track_traders) or asked_in_vain())
        for _ in range(2):
            assert {"http_429", "pass_failed"} <= watch()
        open_budget(settings)  # the pause is over
        until(lambda: run_job(track_traders) or "pass_failed" not in watch())
        assert "http_429" in watch()
        watch.later += timedelta(minutes=10)
        assert "http_429" not in watch()

    for code in ("http_429", "pass_failed"):
        assert watch.logged(code) == ["raised", "cleared"]


def test_a_pass_that_outlasts_its_interval_and_a_rotation_that_comes_late(watch, settings):
    def late():
        run_job(track_traders)
        run_job(measure_rotation)
        return watch() & {"pass_late", "rotation_late"}

    with Simulator(SimulatorConfig(seed=4, traders=20, warmup_trades=200)) as sim:
        configure(settings, hyperliquid_api_url=sim.api_url, tracking_interval_seconds=1)
        meet(sim.traders()[:5])
        with sim.fault(rest_slow_seconds=3):
            until(lambda: late() == {"pass_late", "rotation_late"})
            assert not Trader.objects.exclude(last_tracked_at=None).exists()
        until(lambda: not late())
        assert Trader.objects.exclude(last_tracked_at=None).count() == 5

    for code in ("pass_late", "rotation_late"):
        assert watch.logged(code) == ["raised", "cleared"]


def test_passes_that_use_more_than_97_percent_of_the_limit(watch, settings):
    config = SimulatorConfig(seed=4, traders=600, warmup_trades=600, limits=UNLIMITED)
    with Simulator(config) as sim:
        configure(
            settings,
            hyperliquid_api_url=sim.api_url,
            hyperliquid_weight_per_minute=1200,
            tracking_interval_seconds=DAY_SECONDS,
            tracking_weight_per_pass=1200,
            tracking_batch_size=600,
        )
        meet(sim.traders())
        run_job(measure_weight)
        assert "weight_high" not in watch()
        run_job(track_traders)
        assert sim.max_weight_in_any_60s() > 1164
    for _ in range(2):
        run_job(measure_weight)
        assert "weight_high" in watch()

    with redis.Redis.from_url(settings.REDIS_URL) as client:  # an hour passes in Redis
        peaks = client.hgetall(KEYS["peaks"])
        client.delete(KEYS["peaks"])
        client.hset(KEYS["peaks"], mapping={int(at) - 60: most for at, most in peaks.items()})
    run_job(measure_weight)
    assert "weight_high" not in watch()
    assert watch.logged("weight_high") == ["raised", "cleared"]


@pytest.mark.processes
def test_a_scheduler_and_a_worker_that_end_and_are_started_again(
    watch, settings, services, tmp_path
):
    configure(settings, tracking_interval_seconds=5)
    gone = {"scheduler_gone", "worker_gone"}
    fleet = Fleet(
        tmp_path,
        {
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "REDIS_URL": services.redis_url,
        },
    )
    try:
        fleet.start("scheduler")
        fleet.start("worker")
        until(lambda: not watch() & gone)
        for role in ("scheduler", "worker"):
            pid = fleet.a(role)
            _, process = fleet.processes.pop(pid)
            process.send_signal(signal.SIGTERM)
            process.wait(15)
            until(lambda: watch() & gone == {f"{role}_gone"})  # noqa: B023
            fleet.start(role)
            until(lambda: not watch() & gone)
    finally:
        fleet.stop()

    for code in gone:
        # Whoever sees a change first logs it: the worker watches too. Nobody had been seen before
        # the start.
        told = {
            state: watch.logged(code).count(state) + fleet.said(f"alert={code} state={state}")
            for state in ("raised", "cleared")
        }
        assert 1 <= told["raised"] == told["cleared"] <= 2, told
