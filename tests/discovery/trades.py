"""Trades for pure tests."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from exchange.wire import Side, Trade


def trade(tid: int, *, coin: str = "BTC", time_ms: int = 1_790_000_000_000, **users: str) -> Trade:
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


#: Few coins, times and ids, so that repeats are common.
TRADES = st.lists(
    st.builds(
        trade,
        st.integers(0, 30),
        coin=st.sampled_from(["BTC", "ETH", "xyz:TSLA"]),
        time_ms=st.integers(1_790_000_000_000, 1_790_000_000_002),
    ),
    max_size=200,
)
