"""Decimals as text, the way every client gets them (pure)."""

from __future__ import annotations

from decimal import Decimal


def plain(number: Decimal) -> str:
    """Return all digits without exponent and without trailing zeros: `1.50` is `1.5`.

    Not `Decimal.normalize`, which rounds to the context's 28 digits and writes `1E+2`.
    """
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
