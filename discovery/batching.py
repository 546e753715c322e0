"""From the frames of all sockets to the batch of the next transaction (pure).

Two sockets, and every process, bring the same trades. Which of them count is decided by the coins'
cursors in PostgreSQL alone; here only those are let go that this very queue has taken already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from exchange.wire import Trade
from traders.cursors import Arrival, Gap, Reason
from traders.socket_report import SocketReport

#: The newest trades of a coin that are certainly remembered; one block has had 421 of one trader.
WINDOW_TRADES = 512
#: Names come from outside: more coins than ever listed must not fill the memory.
WINDOW_COINS = 4096
#: Waiting trades while PostgreSQL is away: about 200 MB, an hour of the average feed.
CAPACITY_TRADES = 200_000


class SeenTrades:
    """The keys of the newest trades of every coin, in bounded memory.

    Two generations for each coin: when the younger has `window` keys it becomes the elder, whose
    keys are forgotten. So at least the last `window` and at most twice as many are known.
    """

    def __init__(self, *, window: int = WINDOW_TRADES, coins: int = WINDOW_COINS) -> None:
        """Remember nothing yet."""
        self._window = window
        self._coins = coins
        self._keys: dict[str, tuple[set[tuple[int, int]], set[tuple[int, int]]]] = {}

    def __contains__(self, trade: Trade) -> bool:
        """Return whether the trade was added within the window."""
        younger, elder = self._keys.get(trade.coin, ((), ()))
        key = (trade.time_ms, trade.tid)
        return key in younger or key in elder

    def add(self, trade: Trade) -> None:
        """Remember the trade; the coin that came first is forgotten if there are too many."""
        generations = self._keys.get(trade.coin)
        if generations is None:
            if len(self._keys) >= self._coins:
                del self._keys[next(iter(self._keys))]
            generations = self._keys[trade.coin] = (set(), set())
        younger, elder = generations
        if len(younger) >= self._window:
            younger, elder = set(), younger
            self._keys[trade.coin] = (younger, elder)
        younger.add((trade.time_ms, trade.tid))


@dataclass(frozen=True, slots=True)
class Reports:
    """What the sockets say of themselves after everything that was queued before."""

    sockets: Sequence[SocketReport]


class FrameQueue:
    """Frames that wait for the next transaction, in order of arrival, at most `capacity` trades.

    A live frame is queued without the trades that were queued before; a replay whole, because its
    repeats prove that nothing is missing. What finds no room is a gap, committed when there is.
    """

    def __init__(self, *, capacity: int = CAPACITY_TRADES, seen: SeenTrades | None = None) -> None:
        """Begin empty."""
        self._capacity = capacity
        self._seen = seen or SeenTrades()
        self._waiting: deque[Arrival | Reports] = deque()
        # How many of them are being committed, perhaps.
        self._taken = 0
        self._lost: dict[str, Gap] = {}
        self.trades_waiting = 0
        self.received = 0
        self.unique = 0
        self.overflowed = 0

    def __len__(self) -> int:
        """Return how many frames and reports wait."""
        return len(self._waiting)

    @property
    def has_replay(self) -> bool:
        """Whether a replay waits: a subscription was new, or was lost."""
        return any(isinstance(item, Arrival) and item.is_replay for item in self._waiting)

    @property
    def lost(self) -> tuple[Gap, ...]:
        """The gaps of what found no room, one for each coin."""
        return tuple(self._lost.values())

    def offer(self, arrival: Arrival) -> None:
        """Append a frame; never blocks."""
        self.received += len(arrival.trades)
        news = [trade for trade in arrival.trades if trade not in self._seen]
        if not news and not arrival.is_replay:
            return
        # A replay always finds room: without it nobody knew what it shows to be missing.
        if not arrival.is_replay and self.trades_waiting + len(news) > self._capacity:
            self.overflowed += len(news)
            for trade in news:
                self.lose(trade, "overflow")
            return
        for trade in news:
            self._seen.add(trade)
        self.unique += len(news)
        self._append(arrival if arrival.is_replay else _with_trades(arrival, tuple(news)))

    def report(self, sockets: Sequence[SocketReport]) -> None:
        """Append the sockets' reports; older ones next to them say nothing any more."""
        if len(self._waiting) > self._taken and isinstance(self._waiting[-1], Reports):
            self._waiting.pop()
        self._waiting.append(Reports(sockets))

    def lose(self, trade: Trade, reason: Reason) -> None:
        """Note a trade that will not be counted; a coin's gap reaches from first to last."""
        known = self._lost.get(trade.coin)
        begin, end = trade.time_ms - 1, trade.time_ms
        if known is not None:
            begin, end = min(begin, known.from_ms or 0), max(end, known.to_ms)
        self._lost[trade.coin] = Gap(trade.coin, begin, end, reason)

    def first(self, most_trades: int) -> list[Arrival | Reports]:
        """Return the oldest items, at least one; they stay until `done`."""
        count = trades = 0
        for item in self._waiting:
            trades += len(item.trades) if isinstance(item, Arrival) else 0
            if count and trades > most_trades:
                break
            count += 1
        self._taken = count
        return list(islice(self._waiting, count))

    def done(self, count: int, lost: Sequence[Gap] = ()) -> None:
        """Let go of the oldest `count` items and of gaps that are committed as they stand."""
        self._taken = 0
        for _ in range(count):
            item = self._waiting.popleft()
            if isinstance(item, Arrival):
                self.trades_waiting -= len(item.trades)
        for gap in lost:
            if self._lost.get(gap.coin) == gap:
                del self._lost[gap.coin]

    def _append(self, arrival: Arrival) -> None:
        self._waiting.append(arrival)
        self.trades_waiting += len(arrival.trades)


def _with_trades(arrival: Arrival, trades: tuple[Trade, ...]) -> Arrival:
    return replace(arrival, trades=trades)
