"""How one order becomes trades: frame sizes, parts, price levels."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from random import Random

# Measured on the real feed: 67 % of frames hold one trade, 17 % two, 6 % three, 3 % four; up to 49.
MEAN_FRAME = 1.9
LARGEST_FRAME = 49
_SMALL = ((0.67, 1), (0.84, 2), (0.90, 3), (0.93, 4))


def frame_size(rng: Random) -> int:
    """Trades of one block of one coin."""
    draw = rng.random()
    for bound, size in _SMALL:
        if draw < bound:
            return size
    if rng.random() < 0.02:
        return rng.randint(25, LARGEST_FRAME)
    return min(LARGEST_FRAME, 5 + int(rng.expovariate(1 / 2.4)))


def split(size: Decimal, lot: Decimal, parts: int, rng: Random) -> list[Decimal]:
    """Cut a size into at most `parts` positive multiples of the lot that add up to it."""
    lots = int(size / lot)
    parts = min(parts, lots)
    if parts <= 1:
        return [size]
    cuts = sorted(rng.sample(range(1, lots), parts - 1)) if lots > 1 else []
    bounds = [0, *cuts, lots]
    return [(high - low) * lot for low, high in pairwise(bounds)]


def level_prices(
    touch: Decimal, tick: Decimal, count: int, *, buys: bool, rng: Random
) -> list[Decimal]:
    """Prices of an order's trades: from the touch away from the taker, never below one tick."""
    prices: list[Decimal] = []
    price = touch
    for _ in range(count):
        prices.append(price)
        if rng.random() < 0.3:
            price = price + tick if buys else max(price - tick, tick)
    return prices
