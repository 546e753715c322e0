"""The shared budget as its users meet it: waiting, failing and coming back, on a real Redis."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from redis.asyncio import Redis

from exchange.budget import Rules, Status
from exchange.errors import BudgetClosed, RateLimited
from exchange.shared_budget import SharedBudget, host_id
from tests.exchange.budgets import START
from tests.exchange.feed import until


class Times:
    """The log's clock and the host's, moved together or apart."""

    def __init__(self):
        self.log_ms = START
        self.host_seconds = 1000.0

    def pass_by(self, seconds):
        self.log_ms += int(seconds * 1000)
        self.host_seconds += seconds


@pytest.fixture
def times():
    return Times()


@pytest.fixture
async def make(services, times):
    """Opens budgets that share one log, as several processes would."""
    name = secrets.token_hex(4)
    made = []

    def make(**options):
        budget = SharedBudget(
            options.pop("redis", services.redis_url),
            name=name,
            rules=Rules(limit=options.pop("limit", 10)),
            max_wait_seconds=options.pop("max_wait_seconds", 0.02),
            clock=lambda: times.host_seconds,
            log_clock_ms=lambda: times.log_ms,
            **options,
        )
        made.append(budget)
        return budget

    yield make
    for budget in made:
        await budget.__aexit__(None, None, None)


async def test_processes_share_one_limit(make):
    one, other = make(), make()
    await one.open()
    await one.reserve(6)
    await other.reserve(4)
    with pytest.raises(RateLimited) as refused:
        await one.reserve(1)
    assert refused.value.retry_after_seconds == pytest.approx(80, abs=0.01)


async def test_who_waits_is_served_when_room_comes(make, times):
    budget = make(max_wait_seconds=5)
    await budget.open()
    first = await budget.reserve(10)
    waiting = asyncio.create_task(budget.reserve(3))
    times.pass_by(1)
    await budget.settle(first, 7)
    permit = await waiting
    assert permit.weight == 3
    assert (await budget.usage()).used == 10


async def test_waiting_can_be_cancelled_and_leaves_no_trace(make):
    budget = make(max_wait_seconds=60)
    await budget.open()
    await budget.reserve(10)
    waiting = asyncio.create_task(budget.reserve(3))
    await until(budget._turn.locked)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await budget.usage()).used == 10


async def test_a_permit_is_stale_after_two_seconds(make, times):
    budget = make()
    await budget.open()
    permit = await budget.reserve(1)
    times.pass_by(2)
    assert permit.is_fresh
    times.pass_by(0.1)
    assert not permit.is_fresh


async def test_it_starts_closed_unless_opened(make, times):
    budget = make()
    with pytest.raises(RateLimited, match="closed"):
        await budget.reserve(1)
    times.pass_by(65)
    assert await budget.reserve(1)


async def test_a_wiped_redis_closes_it_for_every_process(make, services):
    one, other = make(), make()
    await one.open()
    permit = await one.reserve(1)
    async with Redis.from_url(services.redis_url) as redis:
        await redis.delete(*one._keys)
    with pytest.raises(RateLimited, match="closed"):
        await other.reserve(1)
    await one.settle(permit, 1)
    assert (await other.usage()).used == 1


async def test_a_clock_that_steps_ahead_closes_it(make, times):
    one, other = make(), make()
    await one.open()
    await one.reserve(10)
    times.log_ms += 3_600_000
    for budget in (other, one):
        with pytest.raises(RateLimited, match=r"closed|suspect"):
            await budget.reserve(1)
    assert (await one.usage()).closed_ms == 65_000
    times.pass_by(65)
    assert await one.reserve(1)


async def test_a_delayed_question_is_not_taken_for_a_step(make, times):
    budget = make()
    await budget.open()
    await budget.reserve(1)
    asked_at = times.host_seconds
    times.pass_by(5)
    # What the script answers when the question itself took five seconds to arrive.
    await budget._examine(4_000, asked_at)
    assert (await budget.usage()).closed_ms == 0
    await budget._examine(5_001, asked_at)
    assert (await budget.usage()).closed_ms == 65_000


async def test_429_pauses_every_process(make, times):
    one, other = make(), make()
    await one.open()
    assert await one.pause(7) == 7
    with pytest.raises(RateLimited, match="paused") as refused:
        await other.reserve(1)
    assert refused.value.retry_after_seconds == 7
    times.pass_by(7)
    assert await other.reserve(1)


async def test_without_redis_nothing_may_be_sent(make, unused_tcp_port):
    budget = make(redis=f"redis://127.0.0.1:{unused_tcp_port}/0", max_wait_seconds=0.05)
    with pytest.raises(BudgetClosed):
        await budget.reserve(1)
    with pytest.raises(BudgetClosed):
        await budget.usage()
    assert await budget.pause(None) == 10


async def test_a_weight_that_can_never_fit_is_a_mistake(make):
    with pytest.raises(ValueError, match="never fit"):
        await make().reserve(11)


async def test_many_tasks_of_many_processes_stay_within_the_limit(make, times):
    budgets = [make(limit=100, max_wait_seconds=0.3) for _ in range(6)]
    await budgets[0].open()
    permits = await asyncio.gather(
        *(budgets[number % 6].reserve(3) for number in range(60)), return_exceptions=True
    )
    granted = [permit for permit in permits if not isinstance(permit, Exception)]
    assert len(granted) == 33
    assert (await budgets[0].usage()).used == 99


async def test_it_works_on_the_clocks_of_redis_and_host(services):
    async with SharedBudget(services.redis_url, name=secrets.token_hex(4)) as budget:
        await budget.open()
        permits = [await budget.reserve(2) for _ in range(5)]
        assert all(permit.is_fresh for permit in permits)
        for permit in permits:
            await budget.settle(permit, 2)
        usage = await budget.usage()
        assert (usage.used, usage.peak, usage.closed_ms) == (10, 10, 0)


def test_processes_of_one_host_agree_on_its_name():
    assert host_id() == host_id() or not host_id()


def test_every_status_is_known_to_both_forms():
    assert set(Status) == {"granted", "full", "closed", "paused", "suspect"}
