"""The writer gets every frame into PostgreSQL, and past one that cannot be written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import pytest
from django.db import OperationalError

from discovery.batching import FrameQueue
from discovery.writer import Writer
from tests.traders.book import follow
from tests.traders.fills import START_MS, live, replay, trade
from traders.cursors import Arrival
from traders.models import FeedCursor, FeedGap, Trader


def written(arrivals: Iterable[Arrival], capacity: int = 1000) -> Writer:
    """Write the frames, all of them; fail after 20 s."""

    async def run() -> Writer:
        writer = Writer(FrameQueue(capacity=capacity))
        for one in arrivals:
            writer.offer(one)
        writer.finish()
        await asyncio.wait_for(writer.run(), 20)
        writer.close()
        return writer

    return asyncio.run(run())


def test_a_trade_that_postgresql_cannot_hold_goes_alone_and_is_a_gap(transactional_db):
    frames = [replay([trade(0, 0)])]
    frames += [live([trade(n, n, size="1E+21" if n == 7 else "1")]) for n in range(1, 20)]
    writer = written(frames)

    assert (writer.counted, writer.refused) == (18, 1)
    assert FeedCursor.objects.get().trades == 18
    gap = FeedGap.objects.get(reason="refused")
    assert (gap.from_ms, gap.to_ms) == (START_MS + 6, START_MS + 7)
    assert FeedCursor.objects.get().gap_until_ms == START_MS + 7
    assert writer.trouble == ""


def test_what_found_no_room_is_a_gap_in_the_book(transactional_db):
    writer = written(
        [replay([trade(0, 0)]), *(live([trade(n, n)]) for n in range(1, 9))], capacity=4
    )

    assert (writer.counted, writer.queue.overflowed) == (3, 5)
    gap = FeedGap.objects.get(reason="overflow")
    assert (gap.from_ms, gap.to_ms) == (START_MS + 3, START_MS + 8)
    assert Trader.objects.count() == 2


def test_after_an_error_of_postgresql_a_batch_is_half_as_large_and_grows_again(transactional_db):
    sizes = []

    async def run() -> None:
        writer = Writer(FrameQueue())
        for _ in range(6):
            sizes.append(writer.most_trades)
            writer._failed(OperationalError("canceling statement due to lock timeout"))
        writer.offer(replay([trade(n, n) for n in range(9)]))
        writer.finish()
        await asyncio.wait_for(writer.run(), 20)
        sizes.append(writer.most_trades)
        writer.close()

    asyncio.run(run())
    assert sizes == [6000, 3000, 1500, 750, 500, 500, 1000]


def test_who_stayed_subscribed_commits_first_when_postgresql_is_back(transactional_db):
    trades = [trade(n, n) for n in range(60)]
    written([replay(trades[:1])])

    async def run() -> None:
        newcomer = Writer(FrameQueue(), let_others_seconds=1)
        stayed = Writer(FrameQueue(), let_others_seconds=1)
        newcomer.offer(replay(trades))
        for one in trades[1:]:
            stayed.offer(live([one]))
        for writer in (newcomer, stayed):
            writer._failed(OperationalError("away"))
        tasks = [asyncio.create_task(newcomer.run())]
        # Without its patience it would be done by then.
        await asyncio.wait(tasks, timeout=0.5)
        tasks.append(asyncio.create_task(stayed.run()))
        for writer in (newcomer, stayed):
            asyncio.get_running_loop().call_later(0.1, writer.finish)
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
        for writer in (newcomer, stayed):
            writer.close()

    asyncio.run(run())
    assert not FeedGap.objects.filter(reason="outage").exists()
    assert FeedCursor.objects.get().trades == 59


def _behind() -> None:
    """Let another process carry BTC, and have brought its first trade alone."""
    follow("BTC", until_ms=START_MS, name="other:1/0")


async def _newcomer() -> tuple[Writer, asyncio.Task[None]]:
    """Let a process come whose replay begins long after what the book has."""
    writer = Writer(FrameQueue(), process="new:1/")
    writer.offer(replay([trade(n, n) for n in range(30, 60)]))
    return writer, asyncio.create_task(writer.run())


async def _ended(writer: Writer, task: asyncio.Task[None]) -> None:
    """Wait until everything is committed, with all patience."""
    while writer.queue:  # noqa: ASYNC110 (it has no event for that)
        await asyncio.sleep(0.01)
    writer.finish()
    await task
    writer.close()


def test_a_hole_that_others_may_fill_waits_for_them_and_is_no_gap(transactional_db):
    trades = [trade(n, n) for n in range(60)]
    written([replay(trades[:1])])
    _behind()

    async def run() -> None:
        writer, task = await _newcomer()
        await asyncio.wait([task], timeout=0.5)
        assert writer.queue
        other = Writer(FrameQueue())
        for one in trades[1:31]:
            other.offer(live([one]))
        other.finish()
        await other.run()
        other.close()
        await _ended(writer, task)

    asyncio.run(asyncio.wait_for(run(), 20))
    assert not FeedGap.objects.filter(reason="outage").exists()
    assert FeedCursor.objects.get().trades == 59


@pytest.mark.parametrize("is_past", [False, True], ids=["it never comes", "it has come past"])
def test_a_hole_that_nobody_fills_is_a_gap(transactional_db, monkeypatch, is_past):
    monkeypatch.setattr("discovery.writer.FILLED_WITHIN_SECONDS", 9 if is_past else 0.3)
    written([replay([trade(0, 0)])])
    _behind()
    if is_past:
        follow("BTC", until_ms=START_MS + 30, name="other:1/0")
    # One's own sockets bring what they have through the same queue.
    follow("BTC", until_ms=START_MS, name="new:1/1")

    async def run() -> None:
        begun = time.monotonic()
        writer, task = await _newcomer()
        await _ended(writer, task)
        assert time.monotonic() - begun < 5

    asyncio.run(asyncio.wait_for(run(), 20))
    assert FeedGap.objects.get(reason="outage").to_ms == START_MS + 30
