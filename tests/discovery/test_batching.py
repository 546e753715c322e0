"""Laws of the way from frames to batches."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.batching import FrameQueue, Reports, SeenTrades
from exchange.wire import Trade
from hlcopy.clock import utc_now
from tests.discovery.trades import ARRIVALS, FIRST_MS, arrival, trade
from traders.cursors import Arrival, Gap
from traders.socket_report import SocketReport

NOBODY = [SocketReport("one", True, utc_now(), [], None, 0, 0, 0, "")]


def key(one: Trade) -> tuple[str, int, int]:
    """Return what makes a trade itself."""
    return (one.coin, one.time_ms, one.tid)


def keys(frames: Iterable[Arrival | Reports]) -> list[tuple[str, int, int]]:
    """Return the keys of all the frames' trades."""
    return [key(one) for frame in frames if isinstance(frame, Arrival) for one in frame.trades]


def emptied(queue: FrameQueue, limit: int) -> list[Arrival | Reports]:
    """Take everything, `limit` trades at a time."""
    out: list[Arrival | Reports] = []
    while batch := queue.first(limit):
        queue.done(len(batch))
        out += batch
    assert (len(queue), queue.trades_waiting) == (0, 0)
    return out


@given(ARRIVALS, st.integers(1, 7))
def test_every_live_trade_comes_out_once_in_order_of_arrival_however_it_is_cut(arrivals, limit):
    queue = FrameQueue()
    frames = [arrival(*one.trades) for one in arrivals]
    out: list[Arrival | Reports] = []
    for frame in frames:
        queue.offer(frame)
        batch = queue.first(limit)
        queue.done(len(batch))
        out += batch
    out += emptied(queue, limit)

    assert keys(out) == list(dict.fromkeys(keys(frames)))
    assert (queue.received, queue.unique) == (len(keys(frames)), len(keys(out)))


@given(ARRIVALS)
def test_a_replay_stays_whole_and_what_came_live_is_not_queued_again(arrivals):
    queue = FrameQueue()
    for one in arrivals:
        queue.offer(one)
    out = emptied(queue, 5)

    replays = [one for one in out if isinstance(one, Arrival) and one.is_replay]
    assert replays == [one for one in arrivals if one.is_replay]
    assert set(keys(out)) == set(keys(arrivals))
    before: set[tuple[str, int, int]] = set()
    for frame in out:
        assert isinstance(frame, Arrival)
        assert frame.is_replay or not before & set(keys([frame]))
        before |= set(keys([frame]))


@given(ARRIVALS, st.integers(1, 6))
def test_a_full_queue_notes_a_gap_over_exactly_what_it_lets_go(arrivals, capacity):
    queue = FrameQueue(capacity=capacity)
    for one in arrivals:
        queue.offer(one)
    live = [one for one in queue.first(10_000) if isinstance(one, Arrival) and not one.is_replay]
    assert len(keys(live)) <= capacity
    kept = set(keys(queue.first(10_000)))
    dropped = {one for one in keys(arrivals) if one not in kept}

    gaps = {gap.coin: gap for gap in queue.lost}
    for coin, time_ms, _ in dropped:
        assert (gaps[coin].from_ms or 0) < time_ms <= gaps[coin].to_ms
    assert bool(queue.overflowed) == bool(gaps)
    for coin, gap in gaps.items():
        assert gap.reason == "overflow"
        # What was refused once may have come with a replay later.
        times = [at for name, at, _ in keys(arrivals) if name == coin]
        assert {gap.from_ms, gap.to_ms} <= {at - 1 for at in times} | set(times)


def test_what_found_no_room_is_taken_when_there_is_some():
    queue = FrameQueue(capacity=1)
    queue.offer(arrival(trade(1)))
    queue.offer(arrival(trade(2)))
    emptied(queue, 1)
    queue.offer(arrival(trade(2)))

    assert keys(queue.first(1)) == [key(trade(2))]


def test_a_gap_of_no_room_stays_until_it_is_committed_as_it_stands():
    queue = FrameQueue(capacity=1)
    queue.offer(arrival(trade(1)))
    queue.offer(arrival(trade(2, time_ms=FIRST_MS + 5)))
    taken = queue.lost
    assert list(taken) == [Gap("BTC", FIRST_MS + 4, FIRST_MS + 5, "overflow")]
    queue.offer(arrival(trade(3, time_ms=FIRST_MS + 9)))

    queue.done(1, taken)
    assert list(queue.lost) == [Gap("BTC", FIRST_MS + 4, FIRST_MS + 9, "overflow")]
    queue.done(0, queue.lost)
    assert not queue.lost


def test_a_replay_finds_room_in_a_full_queue():
    queue = FrameQueue(capacity=1)
    queue.offer(arrival(trade(1)))
    queue.offer(arrival(trade(2), trade(3), is_replay=True))

    assert len(keys(queue.first(10))) == 3
    assert queue.lost == ()


@given(ARRIVALS, st.integers(1, 4))
def test_a_batch_stays_until_it_is_done(arrivals, limit):
    queue = FrameQueue()
    for one in arrivals:
        queue.offer(one)

    assert queue.first(limit) == queue.first(limit)
    before = len(queue)
    batch = queue.first(limit)
    queue.done(len(batch))
    assert len(queue) == before - len(batch)


def test_reports_come_after_the_frames_before_them_and_the_newest_alone():
    queue = FrameQueue()
    queue.report(NOBODY)
    queue.offer(arrival(trade(1)))
    queue.report([])
    queue.report(NOBODY)

    assert [type(one) for one in queue.first(9)] == [Reports, Arrival, Reports]
    assert queue.first(9)[-1] == Reports(NOBODY)


def test_a_report_that_comes_while_another_is_written_is_written_too():
    queue = FrameQueue()
    queue.report([])
    written = queue.first(9)
    queue.report(NOBODY)
    queue.done(len(written))

    assert queue.first(9) == [Reports(NOBODY)]


@given(st.lists(st.integers(0, 60), max_size=300), st.integers(1, 10))
def test_the_last_trades_of_a_coin_are_always_known_and_a_new_one_never_is(tids, window):
    seen = SeenTrades(window=window)
    added: list[int] = []
    for tid in tids:
        one = trade(tid)
        if tid in added[-window:]:
            assert one in seen
        if tid not in added:
            assert one not in seen
        if one not in seen:
            seen.add(one)
            added.append(tid)


def test_a_busy_coin_does_not_push_out_a_quiet_one():
    seen = SeenTrades(window=2)
    quiet = trade(1, coin="ETH")
    seen.add(quiet)
    for tid in range(100):
        seen.add(trade(tid))

    assert quiet in seen


@pytest.mark.parametrize("coins", [1, 3])
def test_names_without_end_do_not_fill_the_memory(coins):
    seen = SeenTrades(coins=coins)
    for number in range(50):
        seen.add(trade(1, coin=f"C{number}"))

    assert sum(trade(1, coin=f"C{number}") in seen for number in range(50)) == coins
    assert trade(1, coin="C49") in seen
