"""From the trades of all sockets to the batch of the next transaction (pure).

A trade's key is (coin, time, tid): its tid alone is a hash and not unique, and every socket of
every process delivers the same trades, some of them again after each subscribe.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from exchange.wire import Trade

#: The newest trades of a coin that are certainly remembered; one block has had 421 of one trader.
WINDOW_TRADES = 512
#: Names come from outside: more coins than ever listed must not fill the memory.
WINDOW_COINS = 4096
#: Waiting trades while PostgreSQL is away: about 200 MB, an hour of the average feed.
CAPACITY_TRADES = 200_000
#: The dex of a coin such as xyz:TSLA, as short as the exchange's own names and our column.
_DEX = re.compile(r"([A-Za-z0-9_-]{1,15}):")


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


class TradeQueue:
    """Unique trades that wait for the next transaction, in order of arrival, at most `capacity`.

    A trade that finds the queue full is counted and not remembered: another socket, or the replay
    after the next subscribe, may deliver it again when there is room.
    """

    def __init__(self, *, capacity: int = CAPACITY_TRADES, seen: SeenTrades | None = None) -> None:
        """Begin empty."""
        self._capacity = capacity
        self._seen = seen or SeenTrades()
        self._waiting: deque[Trade] = deque()
        self.received = 0
        self.unique = 0
        self.overflowed = 0

    def __len__(self) -> int:
        """Return how many trades wait."""
        return len(self._waiting)

    def offer(self, trades: Iterable[Trade]) -> None:
        """Append the trades that are new; never blocks."""
        for trade in trades:
            self.received += 1
            if trade in self._seen:
                continue
            if len(self._waiting) >= self._capacity:
                self.overflowed += 1
                continue
            self._seen.add(trade)
            self._waiting.append(trade)
            self.unique += 1

    def first(self, limit: int) -> list[Trade]:
        """Return the oldest trades, which stay until `done` says that they are committed."""
        return list(islice(self._waiting, limit))

    def done(self, count: int) -> None:
        """Let go of the oldest `count` trades."""
        for _ in range(count):
            self._waiting.popleft()


def dex_of(coin: str) -> str:
    """Return the dex that lists the coin: "xyz" of xyz:TSLA, "" (the main one) of BTC."""
    found = _DEX.match(coin)
    return found[1] if found else ""


def sightings(trades: Sequence[Trade]) -> set[tuple[str, str]]:
    """Return (address, dex) of every buyer and every seller."""
    pairs = set()
    for trade in trades:
        dex = dex_of(trade.coin) if ":" in trade.coin else ""
        pairs.add((trade.buyer, dex))
        pairs.add((trade.seller, dex))
    return pairs
