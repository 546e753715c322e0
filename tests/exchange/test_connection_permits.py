"""The permits to connect as processes meet them: one count in a real Redis, and without it."""

from __future__ import annotations

import asyncio
import secrets

import pytest
from redis.asyncio import Redis

from exchange.attempts import Pacing
from exchange.connection_permits import ConnectionPermits
from tests.exchange.feed import until

#: One attempt an hour: what comes sooner has followed one that worked.
SLOW = Pacing(limit=4, every_ms=3_600_000)


@pytest.fixture
async def make(services):
    """Opens permits that share one count, as several processes would."""
    name = secrets.token_hex(4)
    made = []

    async def make(**options):
        options = {"redis": services.redis_url, "name": name, "pacing": SLOW, **options}
        made.append(await ConnectionPermits(options.pop("redis"), **options).__aenter__())
        return made[-1]

    yield make
    for permits in made:
        await permits.__aexit__(None, None, None)
    async with Redis.from_url(services.redis_url) as redis:
        await redis.delete(*(f"{{connections:{name}}}:{key}" for key in ("state", "log")))


async def test_processes_share_one_pace(make):
    one, other = await make(), await make()
    await asyncio.wait_for(one(), 5)
    assert await other._ask() > 3_590_000


async def test_who_waits_follows_as_soon_as_another_process_has_come_through(make):
    one, other, third = await make(), await make(), await make()
    await one()
    waiting = [asyncio.create_task(permits()) for permits in (other, third)]
    await asyncio.wait(waiting, timeout=0)
    one.ended(works=True)
    await asyncio.wait_for(asyncio.gather(*waiting), 5)


async def test_who_waits_longer_than_others_have_followed_is_not_let_through(make):
    one, other = await make(), await make()
    await one()
    one.ended(works=True)
    await until(lambda: not one._telling)
    assert [await other._ask() == 0 for _ in range(5)] == [True, True, True, False, False]


async def test_a_process_that_dies_with_its_permit_holds_nobody_up_longer_than_the_pace(make):
    one, other = await make(pacing=Pacing(every_ms=50)), await make(pacing=Pacing(every_ms=50))
    await one()
    await asyncio.wait_for(other(), 5)


async def test_a_failure_is_told_to_every_process(make):
    one, other = await make(), await make()
    await one()
    one.ended(works=True)
    await until(lambda: not one._telling)
    other.ended(works=False)
    await until(lambda: not other._telling)
    assert await one._ask() > 0


async def test_a_wiped_redis_gives_one_attempt_more_and_goes_on(make, services):
    one = await make()
    await one()
    async with Redis.from_url(services.redis_url) as redis:
        await redis.delete(*one._keys)
    assert [await one._ask() == 0 for _ in range(3)] == [True, False, False]


async def test_without_redis_a_process_keeps_to_its_own_share(make, unused_tcp_port):
    redis = f"redis://127.0.0.1:{unused_tcp_port}/0"
    seconds = 1000.0
    one = await make(redis=redis, clock=lambda: seconds)
    allowed = 0
    for _ in range(120):
        allowed += await one._ask() == 0
        seconds += 1
        one.ended(works=False)
    assert allowed == 10
    one.ended(works=True)
    assert [await one._ask() == 0 for _ in range(4)] == [True, True, True, False]


async def test_what_redis_permitted_counts_in_the_own_share_when_it_goes_away(
    make, services, unused_tcp_port
):
    one = await make()
    await one()
    async with Redis.from_url(f"redis://127.0.0.1:{unused_tcp_port}/0") as away:
        one._script.registered_client = away
        assert await one._ask() > 0
