"""How a position began, from what it is now and the fills since (pure).

While a position keeps its direction its entry price is affine in the one it began with: every
increase by q at price p makes it (|s| e + q p) / (|s| + q). Solved backwards that multiplies the
exchange's rounding by 1 / b, b being the product of all |s| / (|s| + q), so below `LEAST_SHARE` the
beginning stays unknown. Definitions: docs/scoring.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from traders import positions
from traders.episodes import Episode
from traders.positions import ZERO, Position

LEAST_SHARE = Decimal("0.05")


@dataclass(frozen=True, slots=True)
class WaitedFill:
    """A fill that waited for its trader's base; the size is signed."""

    time_ms: int
    size: Decimal
    price: Decimal
    is_taker: bool


@dataclass(frozen=True, slots=True)
class Beginning:
    """From where on everything is known: the episode then, and the first fill after it."""

    episode: Episode | None
    first: int


def beginning(
    coin: str, size_before: Decimal, fills: Sequence[WaitedFill], entry_after: Decimal
) -> Beginning | None:
    """Return where the history of the fills begins to be known, None where it never does.

    `size_before`: before the first fill; `entry_after`: the entry price after the last one.
    """
    if size_before == 0:
        return Beginning(None, 0)
    size, constant, share = size_before, ZERO, Decimal(1)
    for place, fill in enumerate(fills):
        after = size + fill.size
        if after == 0:
            return Beginning(None, place + 1)
        if after * size < 0:
            # What crossed zero was opened at this fill's own price.
            rest = Episode(coin, after, fill.price, fill.time_ms, abs(after))
            return Beginning(rest, place + 1)
        if abs(after) > abs(size):
            kept = abs(size) / abs(after)
            constant = constant * kept + fill.price * (1 - kept)
            share *= kept
        size = after
    if share < LEAST_SHARE:
        return None
    entry = positions.rounded_price((entry_after - constant) / share)
    if entry <= 0:
        return None
    return Beginning(_late(Position(coin, size_before, entry)), 0)


def _late(position: Position) -> Episode:
    return Episode(position.coin, position.size, position.entry_price, None, abs(position.size))
