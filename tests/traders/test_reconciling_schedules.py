"""Many stories of one trader: whatever is late, lost or lagging, nothing fresh is wrong."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import ClassVar

import pytest
from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from exchange.wire import Trade
from tests.traders.feed_world import FaultError, outside
from tests.traders.fills import START_MS, block, live, replay
from tests.traders.looks import OTHER, Feed
from tests.traders.one_book import Book
from tests.traders.schedules import SCHEDULES, schedules
from tests.traders.states import held
from traders.cursors import Arrival, Gap
from traders.doubts import AFTER_MS, BEFORE_MS
from traders.ingest import ingest

COINS = ("BTC", "ETH")
STORIES = 200
STEPS = 20
#: More than a window holds: what comes later than they do cannot be told any more.
CROWD = 130

COIN = st.sampled_from(COINS)
PAUSE = st.integers(1, 12_000) | st.integers(1, 1_000) | st.sampled_from([2_000, 5_000])
SIZE = st.runner().flatmap(lambda story: st.sampled_from(story.sizes))
#: What the trader does in one block, and how long it has waited with it.
MOVE = st.tuples(PAUSE, COIN, st.lists(SIZE, min_size=1, max_size=2))
MOVES = st.lists(MOVE, max_size=3)
LOST = st.runner().flatmap(lambda story: st.sampled_from(sorted(story.lost)))
#: How far from its own time a snapshot shows the account.
LAG = st.integers(-BEFORE_MS, AFTER_MS) | st.sampled_from([0, -BEFORE_MS, AFTER_MS])
AGE = st.sampled_from([3_000, 10_000, 100_000]) | st.integers(0, 12_000)
WAIT = st.sampled_from([5_000, 60_000]) | st.integers(1, 12_000)
FATE = st.sampled_from(["commits", "commits", "commits", "commits", "fails", "seems to fail"])

Move = tuple[int, str, list[str]]
Moves = Sequence[Move]


class Story(RuleBasedStateMachine):
    """One trader's truth, and what has come of it; it begins with an empty book.

    Hypothesis leaves rules out at random, so most of them let the trader go on.
    """

    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.to_be_rolled_back = transaction.atomic()
        self.to_be_rolled_back.__enter__()
        self.seen["stories"] += 1
        self.feed = Feed(*COINS)
        self.now_ms = 20_000
        self.sizes = ["1"]
        self.fills: dict[str, list[tuple[int, Decimal]]] = {}
        self.brought: list[Arrival] = []
        self.late: list[Arrival] = []
        # By coin that is not carried now: up to when it was.
        self.lost: dict[str, int] = {}
        self.counted: dict[str, dict[int, Trade]] = {coin: {} for coin in COINS}
        self.head = 0
        # What the log has told, from the bases that the snapshots set.
        self.told: dict[str, Decimal] = {}
        self.read()

    @initialize(
        # Bots trade one size, people any.
        sizes=st.sampled_from([["1", "-1"], ["1", "-2", "0.5", "3"]]),
        start=st.sampled_from(["0", "4"]),
    )
    def begin(self, sizes: list[str], start: str) -> None:
        self.sizes = sizes
        self.fills = {coin: [(0, Decimal(start))] for coin in COINS}

    def true(self, coin: str, until_ms: int) -> Decimal:
        return sum((size for at, size in self.fills[coin] if at <= until_ms), Decimal(0))

    @rule(moves=MOVES, fate=FATE)
    def trade(self, moves: Moves, fate: str) -> None:
        """Trade, while nothing is written; then all of it counts at once."""
        frames = [self.frame(*move) for move in moves]
        if frames := [frame for frame in frames if frame.coin not in self.lost]:
            self.bring(frames, fate)

    @rule(coin=COIN, moves=MOVES)
    def lose(self, coin: str, moves: Moves) -> None:
        newest_ms = max((one.trades[-1].time_ms for one in self.brought), default=START_MS + 2)
        # Of the newest block this coin's frame may be among what was lost.
        self.lost.setdefault(coin, newest_ms - 1)
        self.trade(moves, "commits")

    @precondition(lambda story: story.lost)
    @rule(coin=LOST, newest=st.sampled_from([30, 3, 1]), is_told=st.booleans(), fate=FATE)
    def reconnect(self, coin: str, newest: int, is_told: bool, fate: str) -> None:
        """Replay what was missed, all of it or only the newest; the rest is a gap."""
        lost_ms = self.lost.pop(coin)
        covered_ms = lost_ms if is_told else None
        self.bring([replay(self.feed.published[coin], newest, covered_until_ms=covered_ms)], fate)

    @rule(move=MOVE, moves=MOVES)
    def delay(self, move: Move, moves: Moves) -> None:
        """Let a block be late."""
        frame = self.frame(*move)
        if frame.coin not in self.lost:
            self.late.append(frame)
        self.trade(moves, "commits")

    @precondition(lambda story: story.late)
    @rule(fate=FATE)
    def arrive(self, fate: str) -> None:
        frame = self.late.pop(0)
        times = (one.trades[-1].time_ms for one in self.brought if one.coin == frame.coin)
        is_late = frame.trades[0].time_ms < max(times, default=0)
        self.bring([live(frame.trades, is_late=is_late)], fate)

    @precondition(lambda story: story.brought)
    @rule(place=st.integers(0, 9), fate=FATE)
    def bring_again(self, place: int, fate: str) -> None:
        """Let another socket bring a frame, somewhat later."""
        frame = self.brought[-1 - place % len(self.brought)]
        self.bring([replace(frame, is_late=False)], fate)

    @rule(move=MOVE, fate=FATE)
    def overflow(self, move: Move, fate: str) -> None:
        """Trade while there is no room for the block."""
        frame = self.frame(*move)
        if frame.coin not in self.lost:
            at_ms = frame.trades[0].time_ms
            self.bring([], fate, [Gap(frame.coin, at_ms - 1, at_ms, "overflow")])

    @rule(pause=PAUSE, coin=COIN, fate=FATE)
    def crowd(self, pause: int, coin: str, fate: str) -> None:
        """Let strangers trade more than is remembered."""
        self.now_ms += pause
        trades = block(self.now_ms, CROWD, coin=coin, buyer=OTHER, seller=OTHER)
        self.feed.published[coin] += trades
        if coin not in self.lost:
            self.bring([live(trades)], fate)

    @rule(moves=MOVES, pause=PAUSE, lag=LAG)
    def look(self, moves: Moves, pause: int, lag: int) -> None:
        """Look as soon as the feed has come far enough."""
        self.trade(moves, "commits")
        self.now_ms += pause
        self.look_at(self.now_ms, lag)

    @rule(moves=MOVES, age=AGE, lag=LAG)
    def look_back(self, moves: Moves, age: int, lag: int) -> None:
        """Look at what is older."""
        self.trade(moves, "commits")
        self.look_at(self.now_ms - age, lag)

    @rule(moves=MOVES, waits=st.tuples(WAIT, WAIT), lags=st.tuples(LAG, LAG))
    def heal(self, moves: Moves, waits: tuple[int, int], lags: tuple[int, int]) -> None:
        """Look twice, and nothing happens meanwhile."""
        self.trade(moves, "commits")
        for wait, lag in zip(waits, lags, strict=True):
            self.now_ms += wait
            self.look_at(self.now_ms, lag)

    def frame(self, pause: int, coin: str, sizes: Sequence[str]) -> Arrival:
        """Trade a block."""
        self.now_ms += pause
        self.fills[coin].append((self.now_ms, sum(map(Decimal, sizes), Decimal(0))))
        frames = [self.feed.arrival(self.now_ms, size, coin=coin) for size in sizes]
        return live([trade for frame in frames for trade in frame.trades])

    def bring(self, frames: Sequence[Arrival], fate: str, lost: Sequence[Gap] = ()) -> None:
        """Count in one transaction; one that fails, or seems to have failed, is repeated."""
        if fate != "commits":
            with suppress(FaultError), transaction.atomic():
                ingest(frames, self.feed.known, lost=lost)
                if fate == "fails":
                    raise FaultError
            self.feed.known.forget()
        ingest(frames, self.feed.known, lost=lost)
        self.brought += frames
        for frame in frames:
            # What cannot be told from a repeat does not count.
            floor_ms = self.book.coins[frame.coin].floor_ms
            news = [trade for trade in frame.trades if trade.time_ms > floor_ms]
            self.counted[frame.coin] |= {trade.tid: trade for trade in news}
        self.read()

    def look_at(self, newest_ms: int, lag: int) -> None:
        """Record what the exchange shows, as far as the feed has come past it."""
        age_ms = 0 if len(self.lost) == len(COINS) else AFTER_MS
        at_ms = max(1, min(newest_ms, self.now_ms - age_ms))
        cut_ms = min(at_ms + lag, self.now_ms)
        states = [held(coin, str(size)) for coin in COINS if (size := self.true(coin, cut_ms))]
        followed = [coin for coin in COINS if coin not in self.lost]
        recorded = self.feed.look(at_ms, *states, followed=followed)
        unknown = [coin for coin in COINS if not self.book.coins[coin].standing.known]
        self.read()
        # A base that is taken is no event.
        self.told |= {coin: self.book.coins[coin].size for coin in unknown}
        self.seen[recorded.verdicts[""].name] += 1
        for correction in recorded.corrections:
            self.seen[correction.cause] += 1

    def read(self) -> None:
        self.book = Book(self.feed.trader.pk, after=self.head)
        self.seen["fresh"] += sum(coin.is_fresh for coin in self.book.coins.values())

    @invariant()
    def the_book_is_right(self) -> None:
        self.nothing_fresh_is_wrong()
        self.each_trade_counts_once()
        self.what_does_not_count_lies_in_a_gap()
        self.the_log_is_whole()

    def nothing_fresh_is_wrong(self) -> None:
        """Hold what is fresh to the truth, where no fill is on its way."""
        on_their_way = self.lost.keys() | {frame.coin for frame in self.late}
        for coin, shown in self.book.coins.items():
            if coin not in on_their_way and shown.is_fresh:
                assert shown.size == self.true(coin, self.now_ms), (coin, self.now_ms)

    def each_trade_counts_once(self) -> None:
        trades = [trade for counted in self.counted.values() for trade in counted.values()]
        assert self.book.fills == sum(trade.buyer != trade.seller for trade in trades)
        for coin, counted in self.counted.items():
            assert self.book.coins[coin].trades == len(counted)

    def what_does_not_count_lies_in_a_gap(self) -> None:
        late = {trade.tid for frame in self.late for trade in frame.trades}
        for coin, counted in self.counted.items():
            newest_ms = self.book.coins[coin].newest_ms
            due = outside(self.book.gaps[coin], self.feed.published[coin], newest_ms)
            assert due <= counted.keys() | late

    def the_log_is_whole(self) -> None:
        """Its numbers have no hole, and each event begins where the one before it ended."""
        for number, coin, before, after in self.book.events:
            if number > self.head:
                assert (number, before) == (self.head + 1, self.told[coin])
                self.head, self.told[coin] = number, after
        for coin, shown in self.book.coins.items():
            assert not shown.standing.known or shown.size == self.told[coin]

    def see_everything_again(self) -> None:
        for coin in sorted(self.lost):
            self.reconnect(coin, 30, is_told=False, fate="commits")
        while self.late:
            self.arrive("commits")
        self.the_book_is_right()
        for _ in range(2):
            self.now_ms += 60_000
            self.look_at(self.now_ms, 0)
            self.the_book_is_right()
        assert all(coin.is_fresh for coin in self.book.coins.values())

    def teardown(self) -> None:
        for gaps in self.book.gaps.values():
            self.seen.update(gap.reason for gap in gaps)
        try:
            # What has failed is not hidden by what follows from it.
            if sys.exc_info()[0] is None and self.fills:
                self.see_everything_again()
        finally:
            transaction.set_rollback(True)
            self.to_be_rolled_back.__exit__(None, None, None)


@pytest.mark.timeout(120 + 300 * SCHEDULES // 1000)
def test_nothing_fresh_is_wrong(transactional_db):
    Story.seen.clear()
    run_state_machine_as_test(Story, settings=schedules(STORIES, steps=STEPS))

    seen = Story.seen
    assert seen["stories"] < seen["APPLIED"] < seen["fresh"]
    if seen["stories"] >= STORIES:
        # Every way to lose something, and to find it.
        kinds = {"outage", "overflow", "late", "gap", "drift", "OLD", "UNJUDGED"}
        assert kinds <= seen.keys(), seen
