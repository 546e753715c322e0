"""The rules by which text from outside becomes a number, a time, an address or a coin name."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal

import msgspec

from exchange.errors import WireError

#: 2020-01-01 and 2100-01-01, exchange milliseconds.
EARLIEST_MS = 1_577_836_800_000
LATEST_MS = 4_102_444_800_000
#: No price or size is larger; the exchange's own figures stay far below.
LARGEST = Decimal(10) ** 15
#: A tid is a 50-bit hash of two order ids (protocol page); a BIGINT holds more than enough.
LARGEST_TID = 2**63 - 1

# ASCII digits only: Decimal() alone would take "1_000", " 1", "NaN" and full-width digits.
_EXACT = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,18})?")
_NOISY = re.compile(r"(-?[0-9]{1,20}(?:\.[0-9]{1,18})?)[0-9]{0,64}")
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_COIN = re.compile(r"[!-~](?:[ -~]{0,30}[!-~])?")
_HASH = re.compile(r"0x[0-9a-f]{64}")
_TEXT = re.compile(r"[^ -~]")

# Wide enough for 20 + 18 digits; the default context of 28 would raise in quantize().
_WIDE = Context(prec=60)


def exact(text: str) -> Decimal:
    """The decimal written in ``text``, every digit kept; ``WireError`` unless it is plain."""
    if _EXACT.fullmatch(text) is None:
        raise WireError(f"not a decimal: {printable(text)!r}")
    return Decimal(text)


def positive(text: str) -> Decimal:
    """A price or a size: exact, above 0 and at most ``LARGEST``."""
    value = exact(text)
    if not 0 < value <= LARGEST:
        raise WireError(f"out of bounds: {text}")
    return value


def noisy(raw: bytes | msgspec.Raw) -> Decimal:
    """A decimal of a REST reply, from its JSON text: a string, or a number where the docs differ.

    The exchange computes these with 64-bit floats and prints every digit, so there may be more
    than 18 decimals: those beyond are cut.
    """
    text = bytes(raw).decode("ascii", "replace").strip()
    if text.startswith('"') and text.endswith('"'):
        text = text[1:-1]
    match = _NOISY.fullmatch(text)
    if match is None or ("." not in match[1] and len(match[0]) != len(match[1])):
        raise WireError(f"not a decimal: {printable(text)!r}")
    return Decimal(match[1])


def quantise(size: Decimal, size_decimals: int) -> Decimal:
    """``size`` on the coin's lot grid: takes the float noise out of a snapshot's sizes.

    ``1064075.6000000001`` with one decimal is ``1064075.6``; it then compares exactly with a sum
    of fills. ``size_decimals`` is the coin's ``szDecimals``, 0 to 18.
    """
    grid = Decimal(1).scaleb(-size_decimals)
    rounded = size.quantize(grid, rounding=ROUND_HALF_EVEN, context=_WIDE)
    return rounded if rounded else abs(rounded)


def time_ms(value: int) -> int:
    """``value`` if it is a time between 2020 and 2100 in milliseconds."""
    if not EARLIEST_MS <= value < LATEST_MS:
        raise WireError(f"time out of range: {value}")
    return value


def tid(value: int) -> int:
    """``value`` if it can be a trade id."""
    if not 0 <= value <= LARGEST_TID:
        raise WireError(f"trade id out of range: {value}")
    return value


def address(text: str) -> str:
    """``text`` in lower case if it is ``0x`` and 40 hex digits: the one place that does this."""
    lower = text.lower()
    if _ADDRESS.fullmatch(lower) is None:
        raise WireError(f"not an address: {printable(text)!r}")
    return lower


def coin(text: str) -> str:
    """``text`` if it can name a coin: 1 to 32 printable ASCII characters, no space at the ends."""
    if _COIN.fullmatch(text) is None:
        raise WireError(f"not a coin: {printable(text)!r}")
    return text


def transaction_hash(text: str) -> str:
    """``text`` in lower case if it is a transaction hash, else empty: it only ever describes."""
    lower = text.lower()
    return lower if _HASH.fullmatch(lower) else ""


def printable(text: str, limit: int = 200) -> str:
    """``text`` fit for a log line or an error message: printable ASCII, cut at ``limit``."""
    return _TEXT.sub("?", text[:limit])


def whole(raw: msgspec.Raw) -> int:
    """A whole number of a REST reply (leverage, decimals), written as number or string."""
    value = noisy(raw)
    if value != value.to_integral_value() or abs(value) > LARGEST:
        raise WireError(f"not a whole number: {value}")
    return int(value)
