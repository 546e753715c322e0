"""The truth about an account, exact, beside what /info says of it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from simulator.accounts import ZERO
from simulator.ledger import Ledger


class AccountTruth(msgspec.Struct, frozen=True):
    """An account as it really is: signed sizes by coin, and the terms that its value adds up from.

    As of an earlier time only sizes, entry prices and cash are of that time.
    """

    address: str
    dex: str
    time_ms: int
    positions: dict[str, Decimal] = {}
    entry_prices: dict[str, Decimal] = {}
    value: Decimal = ZERO
    deposits: Decimal = ZERO
    withdrawals: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    unrealised: Decimal = ZERO
    unified: bool = False


def account_truth(
    address: str, dex: str, ledger: Ledger, at_ms: int | None, now_ms: int
) -> AccountTruth:
    """The truth about one account; an unknown one is flat. LookupError: too long ago to tell."""
    account = ledger.get(address, dex)
    time_ms = now_ms if at_ms is None else at_ms
    if account is None:
        return AccountTruth(address, dex, time_ms)
    if not account.remembers(time_ms):
        raise LookupError(f"the history of {address} does not reach back to {time_ms}")
    cash, positions = account.at(time_ms)
    unrealised = sum((p.size * ledger.mark(c) - p.cost for c, p in positions.items()), ZERO)
    return AccountTruth(
        address,
        dex,
        time_ms,
        {coin: p.size for coin, p in positions.items()},
        {coin: p.entry_price for coin, p in positions.items()},
        cash + unrealised,
        account.deposits,
        account.withdrawals,
        account.realised,
        account.fees,
        account.funding,
        unrealised,
        account.unified,
    )
