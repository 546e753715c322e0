"""Workers that die in the middle of a pass: nothing lost, nothing twice, and who is to blame."""

from __future__ import annotations

import signal
import time
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from simulator import Simulator, SimulatorConfig
from simulator.config import Limits
from tests.traders import worker
from tests.traders.passes import assert_book_is_true, make_due, meet, run
from traders.models import PositionEvent, Trader

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sim():
    unlimited = Limits(weight_per_minute=1_000_000)
    config = SimulatorConfig(seed=9, traders=60, warmup_trades=1000, limits=unlimited)
    with Simulator(config) as simulator:
        yield simulator


def until(condition, process):
    give_up_at = time.monotonic() + 20
    while not condition():
        assert process.poll() is None, "the worker ended too early"
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def let_leases_run_out():
    Trader.objects.filter(lease_token__isnull=False).update(
        lease_until=Now() - timedelta(seconds=1)
    )


def test_a_worker_killed_in_the_middle_loses_nothing_and_its_leases_run_out(sim):
    meet(sim.traders())
    run(sim)
    for tracked in (3, 25):
        sim.step(blocks=200)
        Trader.objects.update(last_tracked_at=None)
        with sim.fault(rest_slow_seconds=0.5, rest_every=2), worker.working(sim.api_url) as process:
            done = Trader.objects.filter(last_tracked_at__isnull=False)
            until(lambda: done.count() >= tracked, process)  # noqa: B023 (called at once)
            process.kill()

        left = Trader.objects.filter(lease_token__isnull=False)
        assert left.exists()
        # Until the leases are over nobody takes them; then they are tracked like all others.
        run(sim)
        assert left.exists()
        assert_book_is_true(sim)
        let_leases_run_out()
        sim.step(blocks=50)
        run(sim)
        assert not left.exists()

    make_due()
    run(sim)
    assert not Trader.objects.exclude(unfinished_claims=0).exists()
    assert not Trader.objects.filter(last_tracked_at=None).exists()
    assert PositionEvent.objects.exists()
    assert_book_is_true(sim)


def test_who_kills_its_worker_three_times_is_quarantined_and_nobody_else(sim):
    addresses = sim.traders()
    poison = addresses[7]
    meet(addresses)
    deaths = 0
    for _ in range(4):
        with worker.working(sim.api_url, poison=poison) as process:
            deaths += process.wait(30) == -signal.SIGKILL
        let_leases_run_out()

    assert deaths == 3
    assert Trader.objects.get(quarantined_at__isnull=False).address == poison
    others = Trader.objects.exclude(address=poison)
    assert not others.filter(last_tracked_at=None).exists()
    assert not others.exclude(unfinished_claims=0).exists()
    assert_book_is_true(sim)
