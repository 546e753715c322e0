"""What one `clearinghouseState` reply tells of an account (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal

from exchange.numbers import quantise
from exchange.replies import AccountState, PositionState
from traders.episodes import usd
from traders.models import Position
from traders.statistics import mark_price

#: A float has 15 decimal digits that can be trusted; sizes on the wire have at most 8 decimals.
TRUSTED_DIGITS = Context(prec=15, rounding=ROUND_HALF_EVEN)
MOST_SIZE_DECIMALS = 8


def on_grid(size: Decimal, coin: str, size_decimals: Mapping[str, int]) -> Decimal:
    """Return a snapshot's size without the exchange's float noise (pure).

    A coin that is not listed yet is rounded to what a float is good for, which the coin's own
    grid does not change later on.
    """
    if coin in size_decimals:
        return quantise(size, size_decimals[coin])
    return quantise(TRUSTED_DIGITS.plus(size), MOST_SIZE_DECIMALS)


def known_value(state: AccountState) -> Decimal | None:
    """Return the account's value, None where this reply cannot tell it (pure).

    A unified account keeps its money on the spot side and shows 0 or little here. `userAbstraction`
    would say so for 20 weight; the reply itself says enough. Without positions 0 may be all there
    is, or all that is seen: unknown. With positions a value below their maintenance margin (half
    the initial margin at the coin's maximal leverage) would have been liquidated: the money that
    holds them is elsewhere.
    """
    maintenance = sum(
        (
            abs(position.notional) / (2 * max(position.max_leverage, 1))
            for position in state.positions
        ),
        Decimal(0),
    )
    known = state.account_value > 0 and state.account_value >= maintenance
    return state.account_value if known else None


def position_row(
    trader_id: int, dex: str, held: PositionState, size: Decimal, time_ms: int
) -> Position:
    """Return the row of a position as a snapshot of `time_ms` tells it, on its coin's grid."""
    return Position(
        trader_id=trader_id,
        dex=dex,
        coin=held.coin,
        size=size,
        entry_price=held.entry_price,
        notional=held.notional,
        unrealised_pnl=held.unrealised_pnl,
        leverage=held.leverage,
        leverage_type=held.leverage_type[:16],
        margin_used=held.margin_used,
        liquidation_price=held.liquidation_price,
        mark_price=mark_price(held),
        funding_since_open=usd(held.funding_since_open),
        as_of_ms=time_ms,
    )
