"""Exact accounting of one account: average entry, realised, fees, funding, margin.

Positions keep their *cost* (signed money paid), not an entry price, so that partial closes never
lose a digit: account value = deposits - withdrawals + realised - fees + funding + unrealised.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

ZERO = Decimal(0)
MICRO = Decimal("0.000001")
_COST_STEP = Decimal("0.00000001")

Mark = Callable[[str], Decimal]


class Position(msgspec.Struct, frozen=True, gc=False):
    """A signed size with what was paid for it; funding in USD since it was opened."""

    size: Decimal
    cost: Decimal
    leverage: int
    isolated: bool
    opened_ms: int
    funding: Decimal = ZERO

    @property
    def entry_price(self) -> Decimal:
        """The average price paid."""
        return self.cost / self.size


class Fill(msgspec.Struct, gc=False):
    """One side of a trade as its account saw it; `liquidated` names the victim, if there is one."""

    coin: str
    price: Decimal
    size: Decimal
    buys: bool
    time_ms: int
    start: Decimal
    closed_pnl: Decimal
    fee: Decimal
    hash: str
    oid: int
    tid: int
    crossed: bool
    method: str = ""
    liquidated: str = ""
    dir: str = ""


class Change(msgspec.Struct, gc=False):
    """What an account was just before something changed it: states of the past are read back."""

    time_ms: int
    cash_before: Decimal
    coin: str
    before: Position | None
    fill: Fill | None


def apply_fill(
    position: Position | None, delta: Decimal, price: Decimal, *, opened: Position
) -> tuple[Position | None, Decimal]:
    """The position after a signed fill and the realised profit; a flip reopens at the price.

    `opened` carries leverage, mode and time of a position that begins with this fill.
    """
    if position is None:
        return msgspec.structs.replace(opened, size=delta, cost=delta * price), ZERO
    size, cost = position.size, position.cost
    if (size > 0) == (delta > 0):
        grown = msgspec.structs.replace(position, size=size + delta, cost=cost + delta * price)
        return grown, ZERO
    if abs(delta) < abs(size):
        released = (cost * -delta / size).quantize(_COST_STEP, ROUND_HALF_EVEN)
        left = msgspec.structs.replace(position, size=size + delta, cost=cost - released)
        return left, -delta * price - released
    realised = size * price - cost
    rest = size + delta
    if not rest:
        return None, realised
    return msgspec.structs.replace(opened, size=rest, cost=rest * price), realised


def direction(start: Decimal, delta: Decimal) -> str:
    """The text of a fill's `dir`, a pure function of position, side and size."""
    if delta > 0:
        if start >= 0:
            return "Open Long"
        return "Close Short" if delta <= -start else "Short > Long"
    if start <= 0:
        return "Open Short"
    return "Close Long" if -delta <= start else "Long > Short"


class Account:
    """One address in one dex: its money and its positions."""

    def __init__(self, address: str, dex: str, *, leverage: int, history: int) -> None:
        self.address = address
        self.dex = dex
        self.leverage = leverage
        self.unified = False
        self.exempt = False
        self.created_ms = 0
        self.deposits = self.withdrawals = self.realised = ZERO
        self.fees = self.funding = self.volume = ZERO
        self.positions: dict[str, Position] = {}
        self.changes: deque[Change] = deque(maxlen=history)
        self.equity: deque[tuple[int, Decimal, Decimal, Decimal]] = deque(maxlen=200)

    @property
    def cash(self) -> Decimal:
        """Everything but positions: deposits - withdrawals + realised - fees + funding."""
        return self.deposits - self.withdrawals + self.realised - self.fees + self.funding

    def unrealised(self, mark: Mark) -> Decimal:
        """Profit of open positions at the marks."""
        return sum((p.size * mark(c) - p.cost for c, p in self.positions.items()), ZERO)

    def value(self, mark: Mark) -> Decimal:
        """Account value."""
        return self.cash + self.unrealised(mark)

    def notional(self, mark: Mark) -> Decimal:
        """Sum of absolute position values."""
        return sum((abs(p.size) * mark(c) for c, p in self.positions.items()), ZERO)

    def note(self, time_ms: int, coin: str = "", fill: Fill | None = None) -> None:
        """Remember the state before a change."""
        before = self.positions.get(coin) if coin else None
        self.changes.append(Change(time_ms, self.cash, coin, before, fill))

    def put(self, coin: str, position: Position | None) -> None:
        """Set or remove a position."""
        if position is None:
            self.positions.pop(coin, None)
        else:
            self.positions[coin] = position

    def deposit(self, amount: Decimal, time_ms: int) -> None:
        """Money in (negative: out), a change of cash alone."""
        self.note(time_ms)
        if amount >= 0:
            self.deposits += amount
        else:
            self.withdrawals -= amount
        self.created_ms = self.created_ms or time_ms

    def pay_funding(self, coin: str, mark: Decimal, rate: Decimal, time_ms: int) -> None:
        """Hourly funding: size x price x rate; longs pay when the rate is positive."""
        position = self.positions[coin]
        paid = (position.size * mark * rate).quantize(MICRO, ROUND_HALF_EVEN)
        self.note(time_ms, coin)
        self.funding -= paid
        self.positions[coin] = msgspec.structs.replace(position, funding=position.funding + paid)

    def remembers(self, time_ms: int) -> bool:
        """Whether history reaches back to a time."""
        forgets = len(self.changes) == self.changes.maxlen
        return not forgets or self.changes[0].time_ms <= time_ms

    def at(self, time_ms: int) -> tuple[Decimal, dict[str, Position]]:
        """Cash and positions as they were at the end of `time_ms` (as far as history reaches)."""
        cash, positions = self.cash, dict(self.positions)
        for change in reversed(self.changes):
            if change.time_ms <= time_ms:
                break
            cash = change.cash_before
            if not change.coin:
                continue
            if change.before is None:
                positions.pop(change.coin, None)
            else:
                positions[change.coin] = change.before
        return cash, positions
