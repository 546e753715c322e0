"""What goes wrong in the soak, and when: everything follows from the seed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.soak_market import COINS, Market, now_ms
from bench.soak_outages import Missed, Outages
from bench.soak_world import DISCOVERIES, World

#: A socket that hears nothing for 30 s is given up.
DEAF_SECONDS = 33.0
#: PostgreSQL back, what waited is committed by then.
SETTLED_SECONDS = 6.0
LIQUIDATOR = "0x2e3d94f0562703b25c83308a05046ddaf9a8dd14"
#: One course of events: it yields how many seconds until it goes on.
Course = Iterator[float]


class Troubles:
    """Several courses of events side by side, moved on by `tick`."""

    def __init__(
        self,
        exchange: Market,
        world: World,
        outages: Outages,
        missed: Missed,
        *,
        seed: int,
        seconds: float,
        kills: int,
        only: frozenset[str] = frozenset(),
    ) -> None:
        """Plan nothing beyond each course's next step; `only`: of these kinds alone."""
        self._exchange, self._world = exchange, world
        self._outages, self._missed = outages, missed
        self._seconds, self._kills = seconds, kills
        self._only = only
        self._longest = max(1.0, min(120.0, seconds / 20))
        self.counts: dict[str, int] = {}
        self.fragile_until = 0.0
        courses = (self._frames, self._rest, self._deaths, self._database, self._orders)
        self._courses: list[tuple[float, Course]] = [
            (0.0, course(random.Random(f"{seed} {course.__name__}"))) for course in courses
        ]

    def tick(self) -> None:
        """Let everything happen that is due."""
        now = time.monotonic()
        for place, (due, course) in enumerate(self._courses):
            if now >= due:
                self._courses[place] = (now + next(course, 1e9), course)

    def end(self) -> None:
        """Let everything be well again; positions stay as they are."""
        self._courses = []
        if not self._exchange.struck("frames").keys().isdisjoint({"silence", "half_open"}):
            self._exchange.order("drop", code=1006)
        self._exchange.strike("frames")
        self._exchange.strike("rest")
        if not self._world.postgres.runs:
            self._world.postgres.start()
        for child in self._world.ours.values():
            if not child.runs:
                child.start()

    def count(self, kind: str, times: int = 1) -> None:
        print(f"       {now_ms()} {kind}", flush=True)
        self.counts[kind] = self.counts.get(kind, 0) + times

    def _chosen(self, dice: random.Random, kinds: dict[str, Callable[..., Course]]) -> Course:
        names = [name for name in kinds if not self._only or name in self._only]
        if not names:
            yield 1e9
            return
        name = dice.choice(names)
        self.count(name)
        yield from kinds[name](dice)

    # -- frames -----------------------------------------------------------------------------------

    def _frames(self, dice: random.Random) -> Course:
        kinds: dict[str, Callable[..., Course]] = {
            "drop some": self._drop_some,
            "drop all": self._drop_all,
            "deaf sockets": self._deaf_some,
            "unsound frames": self._unsound,
            "frames late": self._frames_late,
            "lost blocks": self._lose,
        }
        if self._seconds >= 300:
            kinds["all deaf"] = self._deaf_all
        yield 5
        while True:
            # The exchange allows 30 new connections a minute, and healing takes its time.
            longest = min(45.0, max(16.0, self._seconds / 10))
            yield dice.uniform(longest / 3, longest)
            yield from self._chosen(dice, kinds)

    def _numbers(self) -> list[int]:
        return [one["connection"] for one in self._exchange.state()["connections"]]

    def _some(self, dice: random.Random) -> list[int]:
        """Return some connections, never all."""
        numbers = self._numbers()
        return dice.sample(numbers, dice.randint(1, max(1, len(numbers) - 1)) if numbers else 0)

    def _drop_some(self, dice: random.Random) -> Course:
        if some := self._some(dice):
            self._exchange.order("drop", code=dice.choice((1000, 1011, 1006)), connections=some)
        yield 1

    def _drop_all(self, dice: random.Random) -> Course:
        self._exchange.strike("frames", refuse_connections=True)
        self._exchange.order("drop", code=dice.choice((1000, 1011, 1006)))
        yield 0.1 * (self._longest / 0.1) ** dice.random()
        self._exchange.strike("frames")

    def _deaf_some(self, dice: random.Random) -> Course:
        some = self._some(dice)
        if not some:
            return
        fault = dice.choice(("silence", "half_open"))
        self._exchange.strike("frames", connections=some, **{fault: True})
        yield dice.uniform(3, min(40, self._seconds / 5))
        # What they have missed meanwhile no connection of the real exchange would keep quiet about.
        self._exchange.order("drop", code=1006, connections=some)
        self._exchange.strike("frames")

    def _deaf_all(self, dice: random.Random) -> Course:
        fault = dice.choice(("silence", "half_open"))
        self._exchange.strike("frames", **{fault: True})
        yield DEAF_SECONDS + dice.uniform(0, 15)
        self._exchange.order("drop", code=1006)
        self._exchange.strike("frames")

    def _unsound(self, dice: random.Random) -> Course:
        self._exchange.strike(
            "frames",
            duplicate_every=dice.randint(2, 9),
            garbage_every=dice.randint(5, 30),
            late_blocks_every=dice.randint(4, 15),
            late_blocks_by=dice.randint(1, 8),
        )
        yield dice.uniform(5, 20)
        self._exchange.strike("frames")

    def _frames_late(self, dice: random.Random) -> Course:
        self._exchange.strike("frames", frames_delay_seconds=dice.uniform(0.3, 3))
        yield dice.uniform(5, 20)
        self._exchange.strike("frames")

    def _lose(self, dice: random.Random) -> Course:
        coin = dice.choice([coin for coin in COINS if "/" not in coin])
        self._missed.lose(coin)
        self._exchange.strike("frames", coins=[coin], lose_blocks_every=1)
        yield dice.uniform(0.2, 2)
        self._exchange.strike("frames")
        self._missed.lose(coin)

    # -- REST -------------------------------------------------------------------------------------

    def _rest(self, dice: random.Random) -> Course:
        yield 3
        while True:
            yield dice.uniform(1, 6)
            if self._only and "rest" not in self._only:
                continue
            faults: dict[str, Any] = dice.choice(
                (
                    {"rest_delay_seconds": 2.0},
                    {"rest_delay_seconds": [0.0, 2.0, 8.0]},
                    {"rest_skew_seconds": 1.0},
                    {"empty_accounts": True, "rest_every": dice.randint(2, 9)},
                    {"rest_slow_seconds": 3.0, "rest_every": 3},
                    {"rest_truncated": True, "rest_every": dice.randint(3, 9)},
                    {"rest_refuse": True, "rest_every": dice.randint(3, 9)},
                    {"rest_status": dice.choice((429, 500, 502)), "rest_every": 7},
                )
            )
            self.count(next(iter(faults)))
            self._exchange.strike("rest", **faults)
            yield dice.uniform(4, 20)
            self._exchange.strike("rest")

    # -- processes --------------------------------------------------------------------------------

    def _deaths(self, dice: random.Random) -> Course:
        if not self._kills:
            return
        mean = self._seconds / (self._kills + 1)
        killed = 0
        while killed < self._kills:
            yield min(dice.expovariate(1 / mean), 3 * mean) * 0.85
            while time.monotonic() < self.fragile_until:
                yield 0.5
            names = list(DISCOVERIES) if dice.random() < 0.15 else [dice.choice(DISCOVERIES)]
            for name in names:
                self._world.ours[name].kill()
            killed += len(names)
            self.count("discovery killed", len(names))
            yield 0.1 * 60 ** dice.random()
            for name in names:
                self._world.ours[name].start()

    def _database(self, dice: random.Random) -> Course:
        if self._only and "database" not in self._only:
            return
        times = max(1, round(self._seconds / 400))
        for _ in range(times):
            yield self._seconds / (times + 1) * dice.uniform(0.7, 1.1)
            self.fragile_until = time.monotonic() + 1e6
            away_ms = now_ms()
            self._outages.away.append((away_ms, None))
            self._world.postgres.kill()
            self.count("PostgreSQL killed")
            away = dice.uniform(0.5, min(12.0, self._seconds / 15))
            if dice.random() < 0.3:
                # What the processes have received since then dies with them.
                self._outages.begin(since_ms=now_ms() - 500)
                for name in DISCOVERIES:
                    self._world.ours[name].kill()
                self.count("discovery killed", len(DISCOVERIES))
                yield away
                self._world.postgres.start()
                for name in DISCOVERIES:
                    self._world.ours[name].start()
            else:
                yield away
                self._world.postgres.start()
            self._outages.away[-1] = (away_ms, now_ms())
            self.fragile_until = time.monotonic() + SETTLED_SECONDS
            for work in ("track", "heal", "retain"):
                if not self._world.ours[work].runs:
                    self._world.ours[work].start()

    # -- what the feed is not told, and other events ----------------------------------------------

    def _orders(self, dice: random.Random) -> Course:
        kinds: dict[str, Callable[..., Course]] = {
            "move": self._move,
            "several moves": self._moves,
            "liquidation": self._liquidate,
            "stranger": self._stranger,
        }
        yield 10
        listed = 0
        while True:
            yield dice.uniform(3, 12)
            yield from self._chosen(dice, kinds)
            if dice.random() < 0.02 and listed < 5 and not self._only:
                listed += 1
                self.count("new listing")
                self._exchange.order("list_coin", name=f"NEW{listed}", price="3.5")

    def _someone(self, dice: random.Random) -> tuple[str, str]:
        """Return a trader and a coin that it holds."""
        dex = dice.choice(("", "", "", "xyz"))
        held = {who: rows for who, rows in self._exchange.positions(dex, now_ms()).items() if rows}
        address = dice.choice(sorted(held))
        return address, dice.choice(sorted(held[address] or ()))

    def _shift(self, dice: random.Random, address: str, coin: str) -> None:
        self._missed.move(coin, address, LIQUIDATOR)
        size = dice.choice((-1, 1)) * dice.randint(1, 9)
        self._exchange.order("move", user=address, coin=coin, size=str(size))
        self._missed.move(coin, address, LIQUIDATOR)

    def _move(self, dice: random.Random) -> Course:
        self._shift(dice, *self._someone(dice))
        yield 0

    def _moves(self, dice: random.Random) -> Course:
        _, coin = self._someone(dice)
        dex = "xyz" if coin.startswith("xyz:") else ""
        held = self._exchange.positions(dex, now_ms())
        holders = sorted(who for who, rows in held.items() if rows and coin in rows)
        for address in dice.sample(holders, min(4, len(holders))):
            if address != LIQUIDATOR:
                self._shift(dice, address, coin)
        yield 0

    def _liquidate(self, dice: random.Random) -> Course:
        address, coin = self._someone(dice)
        dex = "xyz" if coin.startswith("xyz:") else ""
        method = dice.choice(("market", "backstop", "adl"))
        self._exchange.order("liquidate", user=address, dex=dex, method=method)
        yield 0

    def _stranger(self, dice: random.Random) -> Course:
        address = f"0x{dice.getrandbits(160):040x}"
        size = dice.choice((-1, 1)) * dice.randint(1, 30)
        for part in (size, size, -2 * size):
            self._exchange.order("trade", user=address, coin="SOL", size=str(part), parts=2)
            yield 0.5
