"""Laws of the window: each trade counts at most once, and whatever does not lies in a gap."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from exchange.wire import Trade
from tests.traders.fills import START_MS, block, live, replay
from tests.traders.schedules import SCHEDULES, schedules
from traders.cursors import WINDOW_TRADES, Arrival, Gap, Window

#: A replay is of 30 trades; here often of fewer, so that blocks are cut.
NEWEST = st.sampled_from([1, 3, 30])
SIZE = st.sampled_from([1, 1, 2, 5, 40, 150])
TAKES = st.lists(st.integers(0, 2), max_size=4)
#: The number of a source that may be lost.
MORTAL = st.runner().flatmap(attrgetter("mortal"))


def empty() -> Window:
    return Window(None, None, b"")


def ms(time_ms: int) -> int:
    return START_MS + time_ms


def stored(window: Window) -> Window:
    """Return the window as the next transaction reads it."""
    packed = window.packed()
    return Window(window.floor_ms, window.newest_ms, packed)


@dataclass
class Source:
    """One socket: what it has brought and nobody has counted yet, and blocks that come late."""

    queue: deque[Arrival] = field(default_factory=deque)
    is_connected: bool = False
    covered_until_ms: int | None = None
    newest_ms: int = 0
    late: list[Arrival] = field(default_factory=list)

    def bring(self, frame: Arrival) -> None:
        """Bring a frame; a block is late when a newer one has come before it."""
        is_late = not frame.is_replay and frame.trades[0].time_ms < self.newest_ms
        self.newest_ms = max(self.newest_ms, frame.trades[-1].time_ms)
        self.queue.append(replace(frame, is_late=is_late))

    def catch_up(self) -> None:
        """Bring what is late."""
        while self.late:
            self.bring(self.late.pop(0))

    def on_its_way(self) -> set[int]:
        """Return the ids of late trades, of which nothing tells yet."""
        late = [*self.late, *(frame for frame in self.queue if frame.is_late)]
        return {trade.tid for frame in late for trade in frame.trades}


class Sources(RuleBasedStateMachine):
    """One coin, some sources, each with its queue, and the one window that counts.

    Hypothesis leaves rules out at random, so every one lets the world go on: a block is traded,
    and a frame of each source in `takes` is counted.
    """

    seen: ClassVar[Counter[str]] = Counter()
    #: The sources that may be lost, and late.
    mortal: ClassVar[st.SearchStrategy[int]] = st.integers(0, 2)

    def __init__(self) -> None:
        super().__init__()
        self.seen["schedules"] += 1
        self.published: list[Trade] = []
        self.window = empty()
        self.counted: dict[int, Trade] = {}
        self.gaps: list[Gap] = []
        self.sources = [Source() for _ in range(3)]
        # What neither counts nor lies in a gap; what of it died with a process while it was late.
        self.missing: list[Trade] = []
        self.untold: set[int] = set()
        self.late_ms: set[int] = set()
        self.publish(2, [])
        for source in self.sources:
            source.is_connected = True
            source.bring(replay(self.published))

    @rule(size=SIZE, takes=TAKES)
    def publish(self, size: int, takes: Sequence[int], late_at: int | None = None) -> None:
        trades = block(len(self.published) + 1, size)
        self.published += trades
        self.missing += trades
        for number, source in enumerate(self.sources):
            if source.is_connected and number == late_at:
                source.late.append(live(trades))
            elif source.is_connected:
                source.bring(live(trades))
        self.take(takes)

    @rule(number=MORTAL, size=SIZE, takes=TAKES)
    def delay(self, number: int, size: int, takes: Sequence[int]) -> None:
        """Let one source bring a block after newer ones."""
        self.late_ms.add(len(self.published) + START_MS + 1)
        self.publish(size, takes, number)

    @rule(number=MORTAL, size=SIZE, takes=TAKES)
    def arrive(self, number: int, size: int, takes: Sequence[int]) -> None:
        self.publish(size, takes)
        self.sources[number].catch_up()

    @rule(number=MORTAL, newest=NEWEST, size=SIZE, takes=TAKES)
    def subscribe(self, number: int, newest: int, size: int, takes: Sequence[int]) -> None:
        """Subscribe (again): the replay follows, and nothing of what came between."""
        source = self.sources[number]
        source.is_connected = True
        covered_ms = source.covered_until_ms
        source.bring(replay(self.published, newest, covered_until_ms=covered_ms))
        self.publish(size, takes)

    @rule(number=MORTAL, size=SIZE, takes=TAKES)
    def drop(self, number: int, size: int, takes: Sequence[int]) -> None:
        """Lose the connection: what it has received is still to be counted."""
        source = self.sources[number]
        source.catch_up()
        if source.is_connected:
            source.covered_until_ms = self.published[-1].time_ms
        source.is_connected = False
        self.publish(size, takes)

    @rule(number=MORTAL, size=SIZE, takes=TAKES)
    def kill(self, number: int, size: int, takes: Sequence[int]) -> None:
        """Lose all that the source has received and that is not counted yet."""
        # Nothing tells of a late block: the next replay meets what came before it.
        self.untold |= self.sources[number].on_its_way()
        self.sources[number] = Source()
        self.publish(size, takes)

    def take(self, numbers: Sequence[int]) -> None:
        """Count a frame of each of these sources, in one transaction."""
        for queue in (self.sources[number].queue for number in numbers):
            if queue:
                fresh, gap = self.window.take(queue.popleft())
                self.seen[gap.reason if gap else "counted" if fresh else "repeated"] += 1
                self.gaps += [gap] if gap else []
                assert self.counted.keys().isdisjoint(trade.tid for trade in fresh)
                self.counted |= {trade.tid: trade for trade in fresh}
        self.window = stored(self.window)

    @invariant()
    def what_does_not_count_lies_in_a_gap(self) -> None:
        """Up to the newest block that counts, but for what is late."""
        newest_ms = self.window.newest_ms or 0
        self.missing = [
            trade
            for trade in self.missing
            if trade.time_ms > newest_ms
            or (
                trade.tid not in self.counted
                and not any((gap.from_ms or 0) < trade.time_ms <= gap.to_ms for gap in self.gaps)
            )
        ]
        late = self.untold.union(*(source.on_its_way() for source in self.sources))
        assert {trade.tid for trade in self.missing if trade.time_ms <= newest_ms} <= late


class OneNeverLost(Sources):
    """The first source is never lost, and what it brings counts at once."""

    seen: ClassVar[Counter[str]] = Counter()
    mortal = st.integers(1, 2)

    def __init__(self) -> None:
        super().__init__()
        self.take([])

    def take(self, numbers: Sequence[int]) -> None:
        super().take([0, *numbers])

    @invariant()
    def nothing_is_missed_whatever_the_others_do(self) -> None:
        assert [gap.reason for gap in self.gaps if gap.to_ms not in self.late_ms] == ["first"]
        assert list(self.counted.values()) == self.published[2:]


@pytest.mark.timeout(120 + 120 * SCHEDULES // 1000)
def test_each_trade_counts_once_and_what_does_not_lies_in_a_gap():
    Sources.seen.clear()
    run_state_machine_as_test(Sources, settings=schedules(1_000, steps=30))

    assert Sources.seen["schedules"] < Sources.seen["counted"]
    assert Sources.seen["outage"]
    assert Sources.seen["repeated"]


@pytest.mark.timeout(120 + 120 * SCHEDULES // 1000)
def test_one_source_that_is_never_lost_leaves_no_gap_whatever_the_others_do():
    OneNeverLost.seen.clear()
    run_state_machine_as_test(OneNeverLost, settings=schedules(300, steps=30))

    assert OneNeverLost.seen["schedules"] < OneNeverLost.seen["counted"]


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
