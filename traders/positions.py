"""What a fill, or the difference of two snapshots, does to a position (pure).

Average-entry rule (the exchange's documentation, "Entry price and PnL"): a fill that opens or adds
makes the entry price the size-weighted average; one that reduces leaves it; one that crosses zero
closes the position and opens the rest at the fill's price.

Sizes are signed (above zero long) and exact; entry prices are averages, kept to 18 decimals. One
that is unknown (a node's fill tells a size alone) stays so until the position is flat or flipped.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Literal

import msgspec

Kind = Literal["OPEN", "INCREASE", "DECREASE", "CLOSE"]
Side = Literal["BUY", "SELL"]

ZERO = Decimal(0)
# Products of two columns of 38 digits, their sum, and a quotient of 18 decimals: nothing is cut.
_EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN)
_PRICE_STEP = Decimal("1E-18")
#: By so much an implied price may lie outside the mark prices of the two snapshots.
BELIEVED_BEYOND_MARKS = Decimal("0.05")


class Position(msgspec.Struct, frozen=True, gc=False):
    """A trader's net holding of one coin; size 0 is flat, and then the entry price is 0 too.

    `entry_price` is None where nothing has told it. `mark_price` is the exchange's valuation where
    a snapshot told it; nothing follows from it.
    """

    coin: str
    size: Decimal = ZERO
    entry_price: Decimal | None = ZERO
    mark_price: Decimal | None = None


class Fill(msgspec.Struct, frozen=True, gc=False):
    """One side of a trade; the size is above zero, the side gives its direction."""

    coin: str
    side: Side
    price: Decimal
    size: Decimal

    @property
    def signed_size(self) -> Decimal:
        """What the fill adds to the position."""
        return self.size if self.side == "BUY" else -self.size


class Change(msgspec.Struct, frozen=True, gc=False):
    """One step of one position; `price` is None where nothing says at which price it was made."""

    kind: Kind
    coin: str
    side: Side
    size_before: Decimal
    size_after: Decimal
    price: Decimal | None


def apply(position: Position, fill: Fill) -> tuple[Position, tuple[Change, ...]]:
    """Return the position after the fill and the changes: one, or CLOSE and OPEN for a flip.

    Raises ValueError for a fill of another coin, or one whose size or price is not above zero.
    """
    if fill.coin != position.coin or fill.size <= 0 or fill.price <= 0:
        raise ValueError(f"{fill} cannot be applied to {position}")
    size = _EXACT.add(position.size, fill.signed_size)
    after = Position(position.coin, size, _entry_price(position, size, fill))
    return after, changes(position.coin, position.size, size, fill.price)


def changes(
    coin: str, size_before: Decimal, size_after: Decimal, price: Decimal | None
) -> tuple[Change, ...]:
    """Return what leads from one size to another at a price: none, one, or two through zero."""
    return tuple([_change(coin, step, price) for step in _steps(size_before, size_after)])


def diff(before: Mapping[str, Position], after: Mapping[str, Position]) -> tuple[Change, ...]:
    """Return the changes that lead from one state of an account to a later one, by coin.

    A coin that is absent is flat. What happened in between is not known, so a change has a price
    only where the entry prices imply one: an OPEN has its entry price, an INCREASE the average of
    what was added, unless the result shows that more than adding has happened: one that lies far
    from the mark prices of both states was never traded at.
    """
    found: list[Change] = []
    for coin in sorted(before.keys() | after.keys()):
        old, new = before.get(coin, Position(coin)), after.get(coin, Position(coin))
        found += (
            _change(coin, step, _implied_price(old, new, step))
            for step in _steps(old.size, new.size)
        )
    return tuple(found)


def _entry_price(before: Position, size: Decimal, fill: Fill) -> Decimal | None:
    """Return the entry price after the fill has made the size what it is."""
    if size == 0:
        return ZERO
    if before.size == 0 or (before.size > 0) != (size > 0):
        return fill.price
    if abs(size) < abs(before.size):
        return before.entry_price
    return average_entry(before.size, before.entry_price, fill.signed_size, fill.price)


def average_entry(
    size: Decimal, entry_price: Decimal | None, added: Decimal, price: Decimal
) -> Decimal | None:
    """Return the entry price after adding in the same direction, None where it was not known."""
    if entry_price is None:
        return None
    paid = _EXACT.add(_EXACT.multiply(size, entry_price), _EXACT.multiply(added, price))
    return _price(paid, _EXACT.add(size, added))


def _implied_price(old: Position, new: Position, step: tuple[Decimal, Decimal]) -> Decimal | None:
    """Return the average price of a step of a difference, or None where nothing implies it."""
    size_before, size_after = step
    if size_before == 0:
        return new.entry_price
    if abs(size_after) <= abs(size_before):
        return None
    if old.entry_price is None or new.entry_price is None:
        return None
    paid = _EXACT.subtract(
        _EXACT.multiply(new.size, new.entry_price), _EXACT.multiply(old.size, old.entry_price)
    )
    price = _price(paid, _EXACT.subtract(new.size, old.size))
    marks = [mark for mark in (old.mark_price, new.mark_price) if mark is not None]
    lowest = min(marks, default=price) * (1 - BELIEVED_BEYOND_MARKS)
    highest = max(marks, default=price) * (1 + BELIEVED_BEYOND_MARKS)
    return price if price > 0 and lowest <= price <= highest else None


def rounded_price(price: Decimal) -> Decimal:
    """Return a price to 18 decimals, as the book keeps it."""
    return price.quantize(_PRICE_STEP, None, _EXACT)


def _price(paid: Decimal, size: Decimal) -> Decimal:
    """Return the average price."""
    return rounded_price(_EXACT.divide(paid, size))


def _steps(before: Decimal, after: Decimal) -> tuple[tuple[Decimal, Decimal], ...]:
    """Return (size before, size after) of each change: none, one, or two through zero."""
    if before == after:
        return ()
    if before and after and (before > 0) is not (after > 0):
        return ((before, ZERO), (ZERO, after))
    return ((before, after),)


def _change(coin: str, step: tuple[Decimal, Decimal], price: Decimal | None) -> Change:
    """Return the change of one step, which does not cross zero."""
    before, after = step
    is_bought = after > before
    kind: Kind
    if not before:
        kind = "OPEN"
    elif not after:
        kind = "CLOSE"
    else:
        kind = "INCREASE" if is_bought is (before > 0) else "DECREASE"
    return Change(kind, coin, "BUY" if is_bought else "SELL", before, after, price)
