"""When nobody carried the feed, as the exchange's side saw it, and what was missed on purpose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.soak_market import now_ms

#: A subscribe is answered with the newest trades.
REPLAY_TRADES = 30
#: A new listing is subscribed to by then.
LISTED_MS = 10_000
#: A gap lies so near to its outage.
TOLERANCE_MS = 2_000
#: A correction needs two snapshots, which may claim to be younger than they are.
SEEN_AFTER_MS = 5_000


@dataclass(slots=True)
class Outage:
    """From the last moment whose frames reached somebody up to the first one again.

    `counts`: the coins' trades, surely before it and surely after it.
    """

    from_ms: int
    #: When the last connection was lost: frames that were late then have reached nobody.
    cut_ms: int
    to_ms: int | None = None
    counts_from: Mapping[str, int] = field(default_factory=dict)
    counts_to: Mapping[str, int] = field(default_factory=dict)
    inner_from: Mapping[str, int] = field(default_factory=dict)
    inner_to: Mapping[str, int] = field(default_factory=dict)
    is_visible: bool = True
    #: Whether no connection carries even some of the coins.
    is_dark: bool = True

    def missed_at_least(self, coin: str) -> int:
        """Return how many of the coin's trades certainly fell into it."""
        return self.inner_to.get(coin, 0) - self.inner_from.get(coin, 0)

    def missed_at_most(self, coin: str) -> int:
        """Return how many of the coin's trades may have fallen into it."""
        return self.counts_to.get(coin, 0) - self.counts_from.get(coin, 0)


class Outages:
    """Looks at the exchange's connections several times a second."""

    def __init__(self) -> None:
        """Begin before anybody has connected: that is the first outage."""
        self.all: list[Outage] = []
        #: When PostgreSQL was away: (from, to).
        self.away: list[tuple[int, int | None]] = []
        self._samples: list[tuple[int, Mapping[str, int]]] = []
        self._listed_ms: dict[str, int] = {}
        # In force at the last looks.
        self._delays: list[int] = []

    @property
    def open(self) -> Outage | None:
        """The outage that lasts."""
        return self.all[-1] if self.all and self.all[-1].to_ms is None else None

    def look(self, state: Mapping[str, Any], faults: Mapping[str, Any]) -> None:
        """Take the exchange's state, `faults` those of frames that were in force."""
        counts = dict(state["trades_by_coin"])
        for coin in counts:
            self._listed_ms.setdefault(coin, now_ms() if self._samples else 0)
        self._samples = [*self._samples[-20:], (now_ms(), counts)]
        settled_ms = now_ms() - LISTED_MS
        # Of all but the spot pair.
        coins = sum(at <= settled_ms for at in self._listed_ms.values()) - 1
        hit = set(faults.get("connections", ()))
        deaf = bool(faults.get("silence") or faults.get("half_open"))
        carrying = [
            one["connection"]
            for one in state["connections"]
            if one["subscriptions"] >= coins + 4
            and not (deaf and (not hit or one["connection"] in hit))
        ]
        outage = self.open
        if outage is not None:
            outage.is_dark = not any(one["subscriptions"] for one in state["connections"])
        delay_ms = int(1000 * faults.get("frames_delay_seconds", 0))
        self._delays = [*self._delays[-5:], delay_ms]
        if outage is None and not carrying:
            self.begin(is_visible=not deaf)
        elif outage is not None and carrying:
            outage.to_ms, outage.counts_to = now_ms(), counts
        elif outage is not None and not outage.inner_from:
            outage.inner_from = counts
        elif outage is not None:
            outage.inner_to = self._samples[-2][1]

    def begin(self, *, since_ms: int | None = None, is_visible: bool = True) -> None:
        """Note that frames reach nobody from now on, or that what came since is lost.

        Who is cut off has not received what was held back, also where the delay ends just then.
        """
        if self.open is not None:
            return
        first = len(self._samples) < 2
        last_ms, counts = (now_ms(), {}) if first else self._samples[-2]
        cut_ms = min(last_ms, since_ms or last_ms)
        from_ms = cut_ms - max(self._delays, default=0)
        if from_ms < last_ms:
            counts = {}
        self.all.append(Outage(from_ms, cut_ms, counts_from=counts, is_visible=is_visible))

    def around(self, from_ms: int | None, to_ms: int) -> bool:
        """Return whether a gap lies in an outage, give or take two seconds."""
        ends = ((one.from_ms, one.to_ms) for one in self.all)
        return any(
            (from_ms is None or from_ms >= begin_ms - TOLERANCE_MS)
            and begin_ms - TOLERANCE_MS <= to_ms <= (end_ms or now_ms()) + TOLERANCE_MS
            for begin_ms, end_ms in (*ends, *self.away)
        )

    def later_has(self, outage: Outage, at_ms: int) -> bool:
        """Return whether a time lies in an outage after this one, or just before it."""
        return any(
            one.from_ms - TOLERANCE_MS <= at_ms <= (one.to_ms or now_ms())
            for one in self.all
            if one.from_ms > outage.from_ms
        )

    def was_away(self, since_ms: int) -> bool:
        """Return whether PostgreSQL was away at any time since then."""
        return any(end_ms is None or end_ms >= since_ms for _, end_ms in self.away)


class Missed:
    """What the feed was never told: silent moves of one trader, and blocks lost to everybody."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._moves: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._lost: dict[str, list[int]] = defaultdict(list)
        self.told_by_nodes = ToldByNodes()
        self.moves = 0

    def move(self, coin: str, *addresses: str) -> None:
        """Note that these have changed their position with no public trade."""
        self.moves += 1
        for address in addresses:
            self._moves[address, coin].append(now_ms())

    def lose(self, coin: str) -> None:
        """Note that blocks of a coin may be lost now."""
        self._lost[coin].append(now_ms())

    def excuses(self, address: str, coin: str, floor_ms: int) -> bool:
        """Return whether a position may be wrong: nobody has looked since it was missed."""
        times = (*self._moves.get((address, coin), ()), *self._lost.get(coin, ()))
        return any(floor_ms <= at + SEEN_AFTER_MS for at in times)

    def explains(self, address: str, coin: str, since_ms: int) -> bool:
        """Return whether anything was missed since then."""
        times = (*self._moves.get((address, coin), ()), *self._lost.get(coin, ()))
        return any(at >= since_ms for at in times)

    def lost(self, coin: str, since_ms: int) -> bool:
        """Return whether several traders can have been wrong in a coin since then."""
        moved = [at for (_, of), times in self._moves.items() if of == coin for at in times]
        return any(at >= since_ms for at in (*moved, *self._lost.get(coin, ())))


class ToldByNodes:
    """What a node's files tell: positions, each right before a fill, and trades."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._positions: set[tuple[str, str, int]] = set()
        self._trades: dict[str, dict[int, int]] = defaultdict(dict)

    def add(self, address: str, fill: Mapping[str, Any]) -> None:
        """Note a fill of the account."""
        coin, time_ms = fill["coin"], fill["time"]
        self._positions.add((address, coin, time_ms - 1))
        self._trades[coin][fill["tid"]] = time_ms

    def __contains__(self, position: object) -> bool:
        """Return whether (address, coin, exchange time in ms) was told."""
        return position in self._positions

    def trades(self, coin: str, from_ms: int, to_ms: int) -> int:
        """Return how many of the coin's trades of that time they tell."""
        # A copy: the files are written in another thread.
        times = list(self._trades[coin].values())
        return sum(from_ms <= at <= to_ms for at in times)
