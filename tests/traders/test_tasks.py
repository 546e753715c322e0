"""The periodic actor: one slot, one pass, with the configured exchange and the shared budget."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from exchange.shared_budget import SharedBudget
from hlcopy.models import JobRun
from hlcopy.periodic import JOBS, database_now, send_due
from hlcopy.slots import slot_at
from simulator import Simulator, SimulatorConfig
from tests.traders.passes import meet
from traders import tasks
from traders.models import Trader
from traders.partitions import EVENTS, SNAPSHOTS, make_ahead

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sim(settings):
    with Simulator(SimulatorConfig(seed=2, traders=120, warmup_trades=500)) as simulator:
        settings.CONFIGURATION = msgspec.structs.replace(
            settings.CONFIGURATION,
            hyperliquid_api_url=simulator.api_url,
            hyperliquid_weight_per_minute=400,
            tracking_weight_per_pass=200,
            # One batch, and so long that the next slot does not begin during the test.
            tracking_batch_size=100,
            tracking_interval_seconds=86_400,
        )
        yield simulator


@pytest.fixture
def budget(settings):
    """Open the shared budget: nothing has been spent yet."""

    async def open_() -> None:
        async with SharedBudget(settings.REDIS_URL, per_minute=400) as shared:
            await shared.open()

    asyncio.run(open_())


def work(slot):
    """Do what a worker does with the slot's message."""
    JOBS["track_traders"].actor.fn(slot)
    return JobRun.objects.get(job="track_traders", slot=slot)


@pytest.mark.usefixtures("budget")
def test_a_slot_is_one_pass_and_its_summary_is_kept(sim):
    meet(sim.traders())
    now = database_now()
    slot = slot_at(now, JOBS["track_traders"].seconds)
    send_due(now)

    run = work(slot)

    assert (run.state, run.error) == (JobRun.State.DONE, "")
    assert run.summary["stopped_because"] == "weight spent"
    assert run.summary["traders_ok"] == (200 - 20) / 2
    assert run.summary["weight_used"] == 200 == sim.max_weight_in_any_60s()

    # The message comes a second time: done is done.
    assert work(slot).summary == run.summary
    assert Trader.objects.filter(last_tracked_at=None).count() == 120 - 90


@pytest.mark.usefixtures("budget")
def test_while_a_pass_runs_a_second_one_does_nothing(sim):
    meet(sim.traders())
    now = database_now()
    period = JOBS["track_traders"].seconds
    JobRun.objects.create(
        job="track_traders",
        slot=slot_at(now, period) - 1,
        state=JobRun.State.RUNNING,
        sent_at=now,
        lease_until=now + JOBS["track_traders"].lease,
    )
    send_due(now)

    run = work(slot_at(now, period))

    assert run.state == JobRun.State.SENT
    assert sim.weight()["ips"] == {}


def test_a_pass_ends_before_the_next_slot_begins(settings):
    assert 0 <= tasks.seconds_left() <= settings.CONFIGURATION.tracking_interval_seconds - 2


def test_history_expires_and_is_folded_by_jobs_of_their_own():
    for job in ("expire_history", "fold_days"):
        now = database_now()
        send_due(now)
        slot = slot_at(now, JOBS[job].seconds)
        JOBS[job].actor.fn(slot)

        run = JobRun.objects.get(job=job, slot=slot)
        assert (run.state, run.error) == (JobRun.State.DONE, "")
        assert all(isinstance(number, int) for number in run.summary.values())
    for log in (EVENTS, SNAPSHOTS):
        assert make_ahead(log) == []
