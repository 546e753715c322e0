"""Shapes and number texts of the exchange's JSON."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

ZERO_HASH = "0x" + "0" * 64
_NOISE = Decimal("0.0000000001")
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
    """A size as /info shows it: some come back as sums of binary fractions do.

    After two of the exchange's own: "1064075.6000000001", "1161681.8999999999".
    """
    exact = value.normalize()
    if not noise or exact == exact.to_integral_value() or abs(exact) < 100:
        return text(exact)
    last_digit = exact.as_tuple().digits[-1]
    error = _NOISE if last_digit % 2 == 0 else -_NOISE
    return text(exact + error.copy_sign(error * exact))


def encode(message: Any) -> bytes:
    """JSON bytes."""
    return _ENCODER.encode(message)


def trades_frame(trades: list[Trade]) -> bytes:
    """A `trades` frame."""
    return encode({"channel": "trades", "data": trades})
