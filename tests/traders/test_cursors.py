"""Laws of the window: each trade counts at most once, and whatever does not lies in a gap."""

from __future__ import annotations

from collections import deque
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.wire import Trade
from tests.traders.fills import START_MS, block, live, replay
from traders.cursors import WINDOW_TRADES, Arrival, Gap, Window

#: A replay is of 30 trades; here often of fewer, so that blocks are cut.
NEWEST = st.sampled_from([1, 3, 30])


def empty() -> Window:
    return Window(None, None, b"")


def ms(time_ms: int) -> int:
    return START_MS + time_ms


def stored(window: Window) -> Window:
    """Return the window as the next transaction reads it."""
    packed = window.packed()
    return Window(window.floor_ms, window.newest_ms, packed)


class World:
    """One coin, some sources, each with its queue, and the one window that counts."""

    def __init__(self, sources: int) -> None:
        self.published: list[Trade] = []
        self.window = empty()
        self.counted: list[Trade] = []
        self.gaps: list[Gap] = []
        self.queues: list[deque[Arrival]] = [deque() for _ in range(sources)]
        self.connected = [False] * sources
        self.covered: list[int | None] = [None] * sources

    def publish(self, size: int) -> None:
        trades = block(len(self.published) + 1, size)
        self.published += trades
        for queue, connected in zip(self.queues, self.connected, strict=True):
            if connected:
                queue.append(live(trades))

    def subscribe(self, source: int, newest: int) -> None:
        """Subscribe (again): the replay follows, and nothing of what came between."""
        self.connected[source] = bool(self.published)
        if self.published:
            covered = self.covered[source]
            self.queues[source].append(replay(self.published, newest, covered_until_ms=covered))

    def drop(self, source: int) -> None:
        """Lose the connection: what it has received is still to be counted."""
        if self.connected[source]:
            self.covered[source] = self.published[-1].time_ms
        self.connected[source] = False

    def kill(self, source: int) -> None:
        """Lose all that the source has received and that is not counted yet."""
        self.drop(source)
        self.queues[source].clear()
        self.covered[source] = None

    def take(self, source: int) -> None:
        if self.queues[source]:
            fresh, gap = self.window.take(self.queues[source].popleft())
            self.counted += fresh
            self.gaps += [gap] if gap else []

    def missing(self) -> list[Trade]:
        """Return what was published up to the newest counted block and is nowhere."""
        counted = {trade.tid for trade in self.counted}
        return [
            trade
            for trade in self.published
            if trade.time_ms <= (self.window.newest_ms or 0)
            and trade.tid not in counted
            and not any((gap.from_ms or 0) < trade.time_ms <= gap.to_ms for gap in self.gaps)
        ]


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from([1, 1, 2, 5, 40, 300])),
        st.tuples(st.just("subscribe"), st.integers(0, 2), NEWEST),
        st.tuples(st.sampled_from(["drop", "kill"]), st.integers(0, 2)),
        st.tuples(st.just("take"), st.integers(0, 2)),
        st.tuples(st.just("store")),
    ),
    max_size=80,
)


@settings(max_examples=400)
@given(ACTIONS)
def test_each_trade_counts_once_and_what_does_not_lies_in_a_gap(actions):
    world = World(3)
    world.publish(2)
    for name, *about in actions:
        if name == "store":
            world.window = stored(world.window)
        else:
            getattr(world, name)(*about)
        assert world.missing() == []
    keys = [trade.tid for trade in world.counted]
    assert len(keys) == len(set(keys))


@settings(max_examples=100)
@given(ACTIONS)
def test_one_source_that_is_never_lost_leaves_no_gap_whatever_the_others_do(actions):
    world = World(3)
    world.publish(2)
    world.subscribe(0, 30)
    world.take(0)
    for name, *about in actions:
        if name == "store":
            world.window = stored(world.window)
        elif about[0] != 0 or name == "publish":
            getattr(world, name)(*about)
        world.take(0)

    assert [gap.reason for gap in world.gaps] == ["first"]
    assert [trade.tid for trade in world.counted] == [trade.tid for trade in world.published[2:]]


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from([1, 2, 7, 60, 300]), min_size=3, max_size=40),
    st.integers(0, 60),
    st.integers(1, 40),
)
def test_a_late_block_is_counted_or_a_gap(sizes, place, by):
    world = World(1)
    world.publish(1)
    world.subscribe(0, 30)
    world.take(0)
    for size in sizes:
        world.publish(size)
    frames = list(world.queues[0])
    late = frames.pop(place % len(frames))
    at = min(place % (len(frames) + 1) + by, len(frames))
    frames.insert(at, live(late.trades, is_late=at > place % (len(frames) + 1)))
    for frame in frames:
        world.queues[0] = deque([frame])
        world.take(0)
        world.window = stored(world.window)

    assert world.missing() == []


@given(st.lists(st.sampled_from([1, 2, 100, 255, 256, 257, 421]), min_size=1, max_size=9))
def test_a_stored_window_has_whole_blocks_enough_of_them_and_always_the_newest(sizes):
    window = empty()
    window.take(live(block(1)))
    blocks = [block(2 + n, size) for n, size in enumerate(sizes)]
    for trades in blocks:
        window.take(live(trades))
    window = stored(window)

    kept = [trade for trades in blocks for trade in trades if trade in window]
    assert all(trade in window for trade in blocks[-1])
    assert len(kept) >= min(WINDOW_TRADES, sum(sizes))
    for _, whole_block in groupby(kept, key=lambda one: one.time_ms):
        assert [one.tid for one in whole_block] in [[one.tid for one in whole] for whole in blocks]
    assert all(trade.time_ms > window.floor_ms for trade in kept if window.floor_ms)
    assert len(kept) < WINDOW_TRADES + 421
    # What was forgotten stays counted.
    for trades in blocks:
        assert window.take(live(trades)) == ([], None)


def test_the_first_frame_counts_in_nothing_and_is_a_gap_since_ever():
    window = empty()
    fresh, gap = window.take(replay(block(5, 2) + block(7, 3)))

    assert fresh == []
    assert gap == Gap("BTC", None, ms(7), "first")
    assert window.take(replay(block(7, 3)))[0] == []
    assert window.take(live(block(8)))[0] == list(block(8))


def test_a_replay_that_meets_nothing_known_is_a_gap_whose_cut_block_is_in_it():
    window = empty()
    window.take(replay(block(5)))
    fresh, gap = window.take(replay(block(9, 4), newest=2))

    assert gap == Gap("BTC", ms(5), ms(9), "outage")
    assert fresh == list(block(9, 4)[2:])


@pytest.mark.parametrize(("covered", "begin"), [(7, 7), (3, 5), (9, 8), (None, 5)])
def test_a_gap_begins_where_its_source_had_lost_the_coin(covered, begin):
    window = empty()
    window.take(replay(block(5)))
    frame = replay(block(9), covered_until_ms=None if covered is None else ms(covered))

    assert window.take(frame)[1] == Gap("BTC", ms(begin), ms(9), "outage")


def test_below_the_window_a_sources_late_block_is_a_gap_and_anothers_a_repeat():
    window = empty()
    window.take(replay(block(1)))
    for at in range(3, 3 + WINDOW_TRADES + 10):
        window.take(live(block(at)))
    window = stored(window)

    assert window.take(live(block(2))) == ([], None)
    fresh, gap = window.take(live(block(2), is_late=True))
    assert (fresh, gap) == ([], Gap("BTC", ms(1), ms(2), "late"))


def test_above_the_floor_a_late_block_counts():
    window = empty()
    window.take(replay(block(1)))
    window.take(live(block(5)))

    assert window.take(live(block(3), is_late=True)) == (list(block(3)), None)
    assert window.newest_ms == ms(5)
