"""What an account's equity tells between two snapshots: flows, returns and their index (pure).

Definitions: docs/scoring.md. Amounts are USD, returns and shares are fractions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Protocol

from traders.episodes import EXACT, usd
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


@dataclass(frozen=True, slots=True)
class Profit:
    """What positions have brought up to a snapshot: the open ones, and all that was reduced.

    `realised` is after fees; None: unknown.
    """

    unrealised: Decimal | None
    realised: Decimal | None


def unrealised_pnl(held: Iterable[tuple[Held, Decimal]]) -> Decimal | None:
    """Return what positions are worth above these entry prices, None if a mark is unknown."""
    total = ZERO
    with localcontext(EXACT):
        for position, entry_price in held:
            if position.mark_price is None:
                return None
            total += position.size * (position.mark_price - entry_price)
        return usd(total)


def tracked_pnl(before: Profit, now: Profit, funding: Decimal = ZERO) -> Decimal | None:
    """Return what the positions have earned between two snapshots, after the funding paid."""
    if before.unrealised is None or before.realised is None:
        return None
    if now.unrealised is None or now.realised is None:
        return None
    with localcontext(EXACT):
        return now.unrealised - before.unrealised + now.realised - before.realised - funding


def funding_paid(before: Mapping[str, Held], after: Mapping[str, Held]) -> Decimal:
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


def price_doubt(
    before: Mapping[str, Held], priced: Iterable[tuple[Change, Decimal | None]]
) -> Decimal:
    """Return by how much estimated prices may be wrong.

    A change without a price of its own happened somewhere between the mark prices of both
    snapshots: their distance is its doubt.
    """
    doubt = ZERO
    with localcontext(EXACT):
        for change, price in priced:
            held = before.get(change.coin)
            if change.price or price is None or held is None or held.mark_price is None:
                continue
            size = change.size_after - change.size_before
            doubt += abs(size * (price - held.mark_price))
    return doubt


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
