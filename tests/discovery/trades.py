"""Trades and frames for pure tests."""

from __future__ import annotations

from decimal import Decimal
from itertools import groupby

from hypothesis import strategies as st

from exchange.wire import Side, Trade
from traders.cursors import Arrival

FIRST_MS = 1_790_000_000_000


def trade(tid: int, *, coin: str = "BTC", time_ms: int = FIRST_MS, **users: str) -> Trade:
    """A trade; only its key and its users matter here."""
    return Trade(
        coin=coin,
        side=Side.BUY,
        price=Decimal(1),
        size=Decimal(1),
        time_ms=time_ms,
        tid=tid,
        hash="",
        buyer=users.get("buyer", f"0x{2 * tid:040x}"),
        seller=users.get("seller", f"0x{2 * tid + 1:040x}"),
    )


def arrival(*trades: Trade, is_replay: bool = False) -> Arrival:
    """A frame of these trades."""
    return Arrival(trades[0].coin, trades, is_replay=is_replay)


def _frames(trades: list[Trade], replays: list[bool]) -> list[Arrival]:
    """Cut a list of trades into blocks; each may be a replay."""
    cut = groupby(trades, key=lambda one: (one.coin, one.time_ms))
    blocks = [tuple({one.tid: one for one in block}.values()) for _, block in cut]
    return [arrival(*block, is_replay=replays[n % len(replays)]) for n, block in enumerate(blocks)]


#: Few coins, times and ids, so that repeats are common.
ARRIVALS = st.builds(
    _frames,
    st.lists(
        st.builds(
            trade,
            st.integers(0, 30),
            coin=st.sampled_from(["BTC", "ETH", "xyz:TSLA"]),
            time_ms=st.integers(FIRST_MS, FIRST_MS + 2),
        ),
        max_size=60,
    ),
    st.lists(st.booleans(), min_size=1, max_size=5),
)
