"""Trades for tests of the way from the feed to the book."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from exchange.wire import Side, Trade
from traders.cursors import Arrival

START_MS = 1_790_000_000_000


def address(number: int) -> str:
    """Return the address of a trader of the test."""
    return f"0x{number:040x}"


def trade(
    tid: int,
    time_ms: int,
    *,
    coin: str = "BTC",
    buyer: int = 1,
    seller: int = 2,
    size: str | Decimal = "1",
    price: str | Decimal = "100",
    side: Side = Side.BUY,
) -> Trade:
    """Return a trade `time_ms` after the start."""
    return Trade(
        coin=coin,
        side=side,
        price=Decimal(price),
        size=Decimal(size),
        time_ms=START_MS + time_ms,
        tid=tid,
        hash="",
        buyer=address(buyer),
        seller=address(seller),
    )


def block(time_ms: int, count: int = 1, **more: object) -> tuple[Trade, ...]:
    """Return a whole block; its trades' ids follow from its time."""
    return tuple(trade(1000 * time_ms + n, time_ms, **more) for n in range(count))  # type: ignore[arg-type]


def live(trades: Iterable[Trade], **more: object) -> Arrival:
    """Return the frame of a block."""
    trades = tuple(trades)
    return Arrival(trades[0].coin, trades, **more)  # type: ignore[arg-type]


def replay(trades: Sequence[Trade], newest: int = 30, **more: object) -> Arrival:
    """Return the frame that follows a subscribe: the newest trades, of the oldest block some."""
    kept = tuple(trades[-newest:])
    return Arrival(kept[0].coin, kept, is_replay=True, **more)  # type: ignore[arg-type]
