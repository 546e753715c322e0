"""Account states as `/info` gives them, written by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from exchange.replies import AccountState, PositionState
from hlcopy.clock import from_ms
from traders.models import Trader
from traders.recording import Recorded, record_snapshots

T = 1_760_000_000_000
SIZE_DECIMALS = {"BTC": 5, "ETH": 4, "ARB": 1, "xyz:TSLA": 3}


def held(coin: str, size: str, entry: str = "100", **values: Any) -> PositionState:
    """Return an open position; its notional is at the entry price, its leverage 10."""
    notional = abs(Decimal(size) * Decimal(entry))
    fields: dict[str, Any] = {
        "coin": coin,
        "signed_size": Decimal(size),
        "entry_price": Decimal(entry),
        "notional": notional,
        "unrealised_pnl": Decimal(0),
        "leverage": 10,
        "leverage_type": "cross",
        "margin_used": notional / 10,
        "liquidation_price": None,
        "max_leverage": 40,
    }
    return PositionState(**{**fields, **values})


def state(at_ms: int, *positions: PositionState, value: str = "5000") -> AccountState:
    """Return an account's state, its sums those of the positions."""
    return AccountState(
        time_ms=at_ms,
        account_value=Decimal(value),
        total_notional=sum((position.notional for position in positions), Decimal(0)),
        margin_used=sum((position.margin_used for position in positions), Decimal(0)),
        withdrawable=Decimal(value),
        positions=positions,
    )


def record(trader: Trader, *states: AccountState, dex: str = "") -> list[Recorded]:
    """Record states of one dex, one after the other."""
    return [
        record_snapshots(
            trader.pk,
            trader.address,
            {dex: one},
            size_decimals=SIZE_DECIMALS,
            fetched_at=from_ms(one.time_ms),
        )
        for one in states
    ]
