"""Many stories of one trader: whatever is late, lost or lagging, nothing fresh is wrong."""

from __future__ import annotations

import os
from collections import Counter
from decimal import Decimal
from random import Random

import pytest

from tests.traders.looks import Feed
from tests.traders.states import held
from traders.cursors import Arrival
from traders.doubts import AFTER_MS, BEFORE_MS
from traders.ingest import ingest

pytestmark = pytest.mark.django_db
COINS = ("BTC", "ETH")
STORIES = int(os.environ.get("HLCOPY_STORIES", "20"))
STEPS = 60


class Story:
    """One trader's truth, and what has come of it; the seed decides."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.feed = Feed()
        self.now_ms = 20_000
        # Bots trade one size, people any.
        self.sizes = ["1", "-1"] if self.rng.random() < 0.5 else ["1", "-2", "0.5", "3"]
        self.every_ms = self.rng.choice([500, 1_500, 6_000])
        start = self.rng.choice(["0", "4"])
        self.fills = {coin: [(0, Decimal(start))] for coin in COINS}
        self.late: list[Arrival] = []
        # By coin that is not carried now: the frames that a replay may bring.
        self.lost: dict[str, list[tuple[int, Arrival]]] = {}
        self.seen: Counter[str] = Counter()

    def true(self, coin: str, until_ms: int) -> Decimal:
        return sum((size for at, size in self.fills[coin] if at <= until_ms), Decimal(0))

    def step(self) -> None:
        self.now_ms += self.rng.randint(1, 2 * self.every_ms)
        for coin in COINS:
            if self.rng.random() < (0.5 if coin == "BTC" else 0.1):
                self.trade(coin)
        if self.rng.random() < 0.1:
            coin = self.rng.choice(COINS)
            self.lost.setdefault(coin, [])
        elif self.lost and self.rng.random() < 0.4:
            self.reconnect(self.rng.choice(sorted(self.lost)))
        if self.late and self.rng.random() < 0.3:
            ingest([self.late.pop(0)], self.feed.known)
        if self.rng.random() < 0.25:
            self.look()
        self.check()

    def trade(self, coin: str) -> None:
        size = self.rng.choice(self.sizes)
        self.fills[coin].append((self.now_ms, Decimal(size)))
        is_late = coin not in self.lost and self.rng.random() < 0.05
        arrival = self.feed.arrival(self.now_ms, size, coin=coin, is_late=is_late)
        if coin in self.lost:
            self.lost[coin].append((self.now_ms, arrival))
        elif is_late:
            self.late.append(arrival)
        else:
            ingest([arrival], self.feed.known)

    def reconnect(self, coin: str) -> None:
        """Replay what was missed, all of it or only the newest; the rest is a gap."""
        missed = self.lost.pop(coin)
        first = self.rng.randint(0, len(missed)) if self.rng.random() < 0.5 else 0
        if first:
            at_ms = missed[first - 1][0]
            self.feed.gap(coin, missed[0][0] - 1, at_ms)
        ingest([arrival for _, arrival in missed[first:]], self.feed.known)

    def look(self) -> None:
        """Record what the exchange shows, as far as the feed has come past it."""
        age_ms = 0 if len(self.lost) == len(COINS) else AFTER_MS
        at_ms = self.now_ms - self.rng.choice([age_ms, age_ms, 3_000, 10_000, 100_000])
        cut_ms = min(at_ms + self.rng.randint(-BEFORE_MS, AFTER_MS), self.now_ms)
        told = [held(coin, str(size)) for coin in COINS if (size := self.true(coin, cut_ms))]
        followed = [coin for coin in COINS if coin not in self.lost]
        recorded = self.feed.look(max(at_ms, 1), *told, followed=followed)
        self.seen[recorded.verdicts[""].name] += 1
        self.seen["corrections"] += len(recorded.corrections)

    def check(self) -> None:
        """Hold what is fresh to the truth, where no fill is on its way."""
        late = {arrival.coin for arrival in self.late}
        for coin in COINS:
            if coin in self.lost or coin in late:
                continue
            standing = self.feed.standing(coin)
            if standing.known and not standing.stale:
                self.seen["fresh"] += 1
                assert self.feed.size(coin) == self.true(coin, self.now_ms), (coin, self.now_ms)


@pytest.mark.parametrize("seed", range(STORIES))
def test_nothing_fresh_is_wrong(seed):
    story = Story(seed)
    for _ in range(STEPS):
        story.step()

    # In the end everything is seen again.
    for coin in sorted(story.lost):
        story.reconnect(coin)
    ingest(story.late, story.feed.known)
    for _ in range(2):
        story.now_ms += 60_000
        story.late, story.every_ms = [], 1
        told = [held(coin, str(size)) for coin in COINS if (size := story.true(coin, 10**9))]
        story.feed.look(story.now_ms, *told)
    story.check()
    assert all(story.feed.is_fresh(coin) for coin in COINS)
    assert story.seen["fresh"] >= 2
