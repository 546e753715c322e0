"""The periodic ranking, and what the browsers are told of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from channels.layers import get_channel_layer
from django.db import connections

from hlcopy.broadcast import NOTICES_GROUP
from hlcopy.clock import utc_now
from hlcopy.models import JobRun
from hlcopy.periodic import JOBS, NOT_YET_SECONDS, database_now, send_due
from hlcopy.slots import slot_at
from leaderboard.models import Board
from leaderboard.tasks import rank_traders
from tests.leaderboard.history import add_ranked
from traders.models import Trader, TraderDay

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("pages")]


async def hear(work):
    """Join the group as a web process does, run the work, return what comes."""
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(NOTICES_GROUP, channel)
    await asyncio.to_thread(work)
    try:
        return await asyncio.wait_for(layer.receive(channel), 10)
    finally:
        await layer.group_discard(NOTICES_GROUP, channel)
        await layer.flush()


def work(job, slot):
    """Do what a worker does with the slot's message, in a thread as there."""
    job.actor.fn(slot)
    connections.close_all()


def test_a_slot_ranks_refreshes_and_tells_everyone(client):
    trader = add_ranked()
    TraderDay.objects.create(trader=trader, day=utc_now().date() - timedelta(days=1), volume_usd=3)
    before = client.get("/api/v1/leaderboard").json()
    job = JOBS["rank_traders"]
    assert job is rank_traders
    now = database_now()
    slot = slot_at(now, job.seconds)
    send_due(now)

    notice = asyncio.run(hear(lambda: work(job, slot)))

    run = JobRun.objects.get(job="rank_traders", slot=slot)
    assert (run.state, run.error) == (JobRun.State.DONE, "")
    assert (run.summary["traders_30"], run.summary["traders_all"]) == (1, 1)
    after = client.get("/api/v1/leaderboard").json()
    assert (before["count"], after["count"]) == (0, 1)
    assert after["generation"] == Board.objects.get(window="30").pk
    assert notice == {
        "type": "leaderboard_updated",
        "preset": "classic",
        "updated_at": after["updated_at"],
    }


def test_nothing_is_published_before_somebody_was_tracked_and_then_in_the_same_slot(client):
    trader = add_ranked(tracked=False)
    TraderDay.objects.create(trader=trader, day=utc_now().date(), volume_usd=3)
    now = database_now()
    slot = slot_at(now, rank_traders.seconds)
    send_due(now)

    work(rank_traders, slot)

    run = JobRun.objects.get(job="rank_traders", slot=slot)
    assert (run.state, run.attempts, run.error) == ("sent", 1, "no trader has been tracked yet")
    assert not Board.objects.exists()
    assert client.get("/api/v1/leaderboard").json()["updated_at"] is None

    Trader.objects.update(last_tracked_at=now)
    assert "rank_traders" not in send_due(now)
    assert "rank_traders" in send_due(now + timedelta(seconds=NOT_YET_SECONDS + 1))
    work(rank_traders, slot)

    run.refresh_from_db()
    assert (run.state, run.attempts, run.error) == ("done", 2, "")
    assert client.get("/api/v1/leaderboard").json()["count"] == 1


def test_a_later_board_may_be_empty():
    Board.objects.create(preset="classic", window="7", weights={}, updated_at=utc_now())
    now = database_now()
    slot = slot_at(now, rank_traders.seconds)
    send_due(now)

    work(rank_traders, slot)

    assert JobRun.objects.get(job="rank_traders", slot=slot).summary["traders_7"] == 0
