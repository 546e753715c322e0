"""Shapes and number texts of the exchange's JSON."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

ZERO_HASH = "0x" + "0" * 64
_ENCODER = msgspec.json.Encoder()


class Trade(msgspec.Struct, gc=False):
    """One trade as the `trades` feed shows it; `users` is [buyer, seller]."""

    coin: str
    side: str
    px: str
    sz: str
    time: int
    hash: str
    tid: int
    users: tuple[str, str]


class Block(msgspec.Struct):
    """All trades of one coin at one exchange time, in execution order: one frame."""

    coin: str
    time_ms: int
    trades: list[Trade]

    @property
    def frame(self) -> bytes:
        """The text that a subscriber receives."""
        return trades_frame(self.trades)


def text(value: Decimal) -> str:
    """A decimal as the exchange writes it: plain, no trailing zeros, at least one decimal."""
    plain = format(value.normalize(), "f")
    return plain if "." in plain else plain + ".0"


def noisy(value: Decimal, *, noise: bool) -> str:
    """A size as /info shows it: some come back as binary sums do, 0.1 + 0.2 = 0.30000000000000004.

    The exchange prints ten decimals at most, "1064075.6000000001" is one of its own.
    """
    exact = text(value)
    if not noise or "." not in exact or value == value.to_integral_value() or abs(value) < 100:
        return exact
    return text(value + Decimal("0.0000000001").copy_sign(value))


def encode(message: Any) -> bytes:
    """JSON bytes."""
    return _ENCODER.encode(message)


def trades_frame(trades: list[Trade]) -> bytes:
    """A `trades` frame."""
    return encode({"channel": "trades", "data": trades})
