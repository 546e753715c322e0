"""A small exchange and several stream processes on it, whose every step a seed decides.

Each dex is a world of its own with two coins, so that one run is many schedules at once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from random import Random

from discovery.batching import FrameQueue, Reports
from discovery.sockets import FrameIntake
from exchange.wire import Side, Trade, TradesFrame
from hlcopy.clock import utc_now
from tests.traders.fills import START_MS, address
from traders.cursors import Arrival, Gap
from traders.ledgers import KnownTraders
from traders.socket_report import SocketReport

TRADERS = range(1, 6)
#: Below the window, so that what counts can be told without one (`test_cursors` goes beyond).
MOST_TRADES = 240


class FaultError(Exception):
    """What makes a transaction fail before its commit."""


class Exchange:
    """What truly happens."""

    def __init__(self, rng: Random, dexes: int) -> None:
        self._rng = rng
        self.coins = [f"d{dex}:{name}" for dex in range(dexes) for name in "AB"]
        self.published: dict[str, list[Trade]] = {coin: [] for coin in self.coins}
        self.now_ms = START_MS
        self._states: dict[str, tuple[list[int], list[dict[int, Decimal]]]] = {
            coin: ([0], [dict.fromkeys(TRADERS, Decimal(0))]) for coin in self.coins
        }

    def publish(self, coin: str, count: int) -> tuple[Trade, ...]:
        """Trade a block."""
        self.now_ms += self._rng.randint(100, 300)
        trades = tuple(self._trade(coin) for _ in range(count))
        times, states = self._states[coin]
        sizes = dict(states[-1])
        for trade in trades:
            sizes[int(trade.buyer, 16)] += trade.size
            sizes[int(trade.seller, 16)] -= trade.size
        times.append(self.now_ms)
        states.append(sizes)
        self.published[coin] += trades
        return trades

    def size(self, trader: int, coin: str, at_ms: int) -> Decimal:
        """Return what the trader held at that time."""
        times, states = self._states[coin]
        return states[bisect_right(times, at_ms) - 1][trader]

    def _trade(self, coin: str) -> Trade:
        rng = self._rng
        buyer, seller = rng.choices(TRADERS, k=2)
        return Trade(
            coin=coin,
            side=rng.choice([Side.BUY, Side.SELL]),
            price=Decimal(rng.randint(1, 10**6)).scaleb(-2),
            size=Decimal(rng.randint(1, 40)).scaleb(-1),
            time_ms=self.now_ms,
            tid=rng.getrandbits(50),
            hash="",
            buyer=address(buyer),
            seller=address(seller),
        )


@dataclass
class Source:
    """One socket: what it is subscribed to, and blocks that come late."""

    name: str
    queue: FrameQueue
    live: set[str] = field(default_factory=set)
    late: list[TradesFrame] = field(default_factory=list)
    was_late: set[str] = field(default_factory=set)

    @cached_property
    def intake(self) -> FrameIntake:
        return FrameIntake(self.queue.offer, lambda _mids: None)

    def subscribe(self, coin: str, published: Sequence[Trade], newest: int) -> None:
        self.live.add(coin)
        self.intake.follow(set(self.live), connected=True)
        if published:
            frame = TradesFrame(coin, tuple(published[-newest:]), 0)
            self.intake.take(frame, is_replay=True)

    def lose(self, coins: set[str], *, connected: bool) -> None:
        """Lose subscriptions; what was late has come before."""
        self.catch_up()
        self.live -= coins
        self.intake.follow(set(self.live), connected=connected)

    def catch_up(self) -> None:
        for frame in self.late:
            self.intake.take(frame)
            self.was_late.add(frame.coin)
        self.late.clear()

    def report(self) -> SocketReport:
        now = utc_now()
        carried, newest_ms = self.intake.carried, self.intake.carried_until_ms
        lost = self.intake.lost
        return SocketReport(self.name, True, now, carried, newest_ms, 0, 0, 0, "", lost)


class Process:
    """A stream process; a new one takes its place when it is killed."""

    def __init__(self, name: str, capacity: int) -> None:
        self.queue = FrameQueue(capacity=capacity)
        self.known = KnownTraders()
        self.sources = [Source(f"{name}/{number}", self.queue) for number in range(2)]

    def late(self) -> set[str]:
        """Return the coins of blocks that came, or will come, after a newer one."""
        held = {frame.coin for source in self.sources for frame in source.late}
        was_late = set[str]().union(*(source.was_late for source in self.sources))
        waiting = self.queue.first(10**9)
        return (
            held
            | {item.coin for item in waiting if isinstance(item, Arrival) and item.is_late}
            # It found no room: after the sockets have claimed its time.
            | {gap.coin for gap in self.queue.lost if gap.coin in was_late}
        )


class Reference:
    """Which trades count, told in the simplest way: all that are new after a coin's first frame."""

    def __init__(self) -> None:
        self._floor_ms: dict[str, int] = {}
        self._seen: set[tuple[str, int]] = set()
        self.counted: dict[str, set[int]] = defaultdict(set)
        # By trader: fills, volume, what of it was taken, what was washed.
        self.days: dict[int, list[int | Decimal]] = {}

    def take(self, items: Sequence[Arrival | Reports]) -> None:
        for item in items:
            if isinstance(item, Arrival):
                is_first = item.coin not in self._floor_ms
                floor_ms = self._floor_ms.setdefault(item.coin, item.trades[0].time_ms)
                for trade in item.trades:
                    key = (trade.coin, trade.tid)
                    if key not in self._seen and trade.time_ms > floor_ms and not is_first:
                        self._count(trade)
                    self._seen.add(key)

    def _count(self, trade: Trade) -> None:
        self.counted[trade.coin].add(trade.tid)
        value = trade.price * trade.size
        buyer, seller = int(trade.buyer, 16), int(trade.seller, 16)
        for user, side in ((buyer, Side.BUY), (seller, Side.SELL)):
            day = self.days.setdefault(user, [0, Decimal(0), Decimal(0), Decimal(0)])
            if buyer != seller:
                day[0] += 1
                day[1] += value
                day[2] += value if trade.side is side else 0
            elif side is Side.BUY:
                day[3] += value


def outside(gaps: Sequence[Gap], trades: Sequence[Trade], until_ms: int) -> set[int]:
    """Return the trades up to a time that lie in none of the coin's gaps, by id."""
    return {
        trade.tid
        for trade in trades
        if trade.time_ms <= until_ms
        and not any((gap.from_ms or 0) < trade.time_ms <= gap.to_ms for gap in gaps)
    }
