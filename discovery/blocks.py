"""What the times of the coins' newest blocks say together (pure)."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

#: A block further ahead of every other coin's is not believed (exchange milliseconds).
AHEAD_MS = 60_000


def newest_block_ms(newest_by_coin: Mapping[str, int]) -> int | None:
    """Return the time of the newest block, None before the first.

    The host's clock may be wrong and a block may lie, so a time is judged by the other coins': one
    that is ahead of all of them does not count until a second coin comes near it.
    """
    newest = heapq.nlargest(2, newest_by_coin.values())
    if not newest:
        return None
    return newest[0] if newest[0] - newest[-1] <= AHEAD_MS else newest[-1]
