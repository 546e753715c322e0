"""What an account's equity tells between two snapshots: flows, returns and their index (pure).

Definitions: docs/scoring.md. Amounts are USD, returns and shares are fractions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Protocol

from traders.episodes import EXACT
from traders.positions import ZERO, Change

#: What trading does not explain, beyond the larger of both, was deposited or withdrawn.
TOLERANCE_USD = Decimal(5)
TOLERANCE_SHARE = Decimal("0.005")
#: On less than this a return says nothing.
LEAST_BASE_USD = Decimal(10)
#: The index of a first equity.
START = Decimal(1)
LARGEST_INDEX = Decimal(10) ** 12
_STEP = Decimal("1E-18")


class Held(Protocol):
    """A position as a snapshot tells it; funding above zero was paid."""

    size: Decimal
    mark_price: Decimal | None
    funding_since_open: Decimal | None


def tracked_pnl(
    before: Mapping[str, Held],
    after: Mapping[str, Held],
    priced: Iterable[tuple[Change, Decimal | None]],
    fees: Decimal,
) -> tuple[Decimal | None, Decimal]:
    """Return what the positions by coin have earned between two snapshots, and the doubt in it.

    It is what they are worth more, less what was paid for the changes at these prices, for fees and
    for funding; None where a price is unknown. A change without a price of its own happened
    somewhere between the mark prices of both snapshots: their distance is its doubt.
    """
    with localcontext(EXACT):
        worth_before, worth_after = _worth(before.values()), _worth(after.values())
        if worth_before is None or worth_after is None:
            return None, ZERO
        paid = doubt = ZERO
        for change, price in priced:
            if price is None:
                return None, ZERO
            size = change.size_after - change.size_before
            paid += size * price
            held = before.get(change.coin)
            if not change.price and held and held.mark_price is not None:
                doubt += abs(size * (price - held.mark_price))
        return worth_after - worth_before - paid - fees - _funding(before, after), doubt


def inferred_flow(
    before: Decimal, now: Decimal, tracked_pnl: Decimal | None, doubt: Decimal = ZERO
) -> Decimal:
    """Return what was deposited, below zero withdrawn, between two account values.

    `tracked_pnl` is what the known positions have earned, None where that is unknown: then all of
    the difference counts as earned. `doubt` is by how much its prices may be wrong.
    """
    if tracked_pnl is None:
        return ZERO
    with localcontext(EXACT):
        expected = before + tracked_pnl
        unexplained = now - expected
        tolerance = max(TOLERANCE_USD, TOLERANCE_SHARE * abs(expected)) + doubt
        if abs(unexplained) <= tolerance:
            return ZERO
        return unexplained.quantize(_STEP, ROUND_HALF_EVEN)


def period_return(before: Decimal, now: Decimal, flow: Decimal) -> Decimal | None:
    """Return what the account has earned on its base, -1 at the least; None below $10.

    Deposits count in the base from the beginning, withdrawals only at the end, so that neither
    can make a return look better.
    """
    with localcontext(EXACT):
        base = max(before, ZERO) + max(flow, ZERO)
        if base < LEAST_BASE_USD:
            return None
        return max((now - before - flow) / base, Decimal(-1))


def chained(index: Decimal, earned: Decimal) -> Decimal:
    """Return the index after one more return, to 18 decimals; one at 0 was wiped out and stays."""
    with localcontext(EXACT):
        return min(index * (1 + earned), LARGEST_INDEX).quantize(_STEP, ROUND_HALF_EVEN)


def _worth(positions: Iterable[Held]) -> Decimal | None:
    """Return the signed sum at the mark prices, None if one is unknown."""
    total = ZERO
    for held in positions:
        if held.mark_price is None:
            return None
        total += held.size * held.mark_price
    return total


def _funding(before: Mapping[str, Held], after: Mapping[str, Held]) -> Decimal:
    """Return what was paid for the positions that were held all along, as far as it is known."""
    paid = ZERO
    for coin in before.keys() & after.keys():
        old, new = before[coin], after[coin]
        if (
            old.size * new.size > 0
            and old.funding_since_open is not None
            and new.funding_since_open is not None
        ):
            paid += new.funding_since_open - old.funding_since_open
    return paid
