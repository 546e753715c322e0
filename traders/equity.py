"""What an account's equity tells between two snapshots: flows, returns and their index (pure).

Definitions: docs/scoring.md. Amounts are USD, returns and shares are fractions.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext

from traders.positions import ZERO

#: What trading does not explain, beyond the larger of both, was deposited or withdrawn.
TOLERANCE_USD = Decimal(5)
TOLERANCE_SHARE = Decimal("0.005")
#: On less than this a return says nothing.
LEAST_BASE_USD = Decimal(10)
#: The index of a first equity.
START = Decimal(1)
LARGEST_INDEX = Decimal(10) ** 12
_STEP = Decimal("1E-18")
_PRECISE = Context(prec=60)


def inferred_flow(
    before: Decimal, now: Decimal, tracked_pnl: Decimal | None, doubt: Decimal = ZERO
) -> Decimal:
    """Return what was deposited, below zero withdrawn, between two account values.

    `tracked_pnl` is what the known positions have earned, None where that is unknown: then all of
    the difference counts as earned. `doubt` is by how much its prices may be wrong.
    """
    if tracked_pnl is None:
        return ZERO
    with localcontext(_PRECISE):
        expected = before + tracked_pnl
        unexplained = now - expected
        tolerance = max(TOLERANCE_USD, TOLERANCE_SHARE * abs(expected)) + doubt
        return unexplained if abs(unexplained) > tolerance else ZERO


def period_return(before: Decimal, now: Decimal, flow: Decimal) -> Decimal | None:
    """Return what the account has earned on its base, -1 at the least; None below $10.

    Deposits count in the base from the beginning, withdrawals only at the end, so that neither
    can make a return look better.
    """
    with localcontext(_PRECISE):
        base = max(before, ZERO) + max(flow, ZERO)
        if base < LEAST_BASE_USD:
            return None
        return max((now - before - flow) / base, Decimal(-1))


def chained(index: Decimal, earned: Decimal) -> Decimal:
    """Return the index after one more return, to 18 decimals; one at 0 was wiped out and stays."""
    with localcontext(_PRECISE):
        return min(index * (1 + earned), LARGEST_INDEX).quantize(_STEP, ROUND_HALF_EVEN)
