"""What a test, or another process, can order a live market to do."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from simulator.accounts import ZERO
from simulator.behaviour import LIQUIDATOR
from simulator.info import ADDRESS
from simulator.listing import MAIN, SPOT, Coin
from simulator.truth import AccountTruth, account_truth
from simulator.venue import Venue
from simulator.wire import Block, Trade

Number = Decimal | str | int
QUIET = 1e-9  # trades a second: one in thirty years


class OrderError(ValueError):
    """An order that cannot be followed; the text says why."""


class Orders:
    """Orders to a live market; every block that they cause is handed to `publish`."""

    def __init__(self, venue: Venue, publish: Callable[[Block], None]) -> None:
        self._venue = venue
        self._publish = publish

    def _coin(self, name: str) -> Coin:
        coin = self._venue.coins.get(name)
        if coin is None:
            raise OrderError(f"unknown coin {name!r}")
        return coin

    def trade(
        self,
        user: str,
        coin: str,
        size: Number,
        *,
        price: Number | None = None,
        counterparty: str | None = None,
        parts: int = 1,
    ) -> Block:
        """Let a user take: a signed size at the book's (or the given) price, as one block.

        A user who is new here needs no money and is never liquidated unless ordered.
        """
        market, address, delta = self._coin(coin), _address(user), _number(size)
        if market.delisted:
            raise OrderError(f"{coin} is delisted")
        if not delta or delta % market.lot:
            raise OrderError(f"size {size} is not a multiple of {market.lot}")
        other = _address(counterparty) if counterparty else None
        if address == other:
            raise OrderError("a user cannot trade with itself")
        self._meet(address, market)
        if other is not None:
            self._meet(other, market)
        self._venue.open_block(market)
        trades = self._venue.order(
            address,
            market,
            delta,
            parts=parts,
            maker=other,
            price=None if price is None else _number(price),
        )
        return self._close(market, trades)

    def _meet(self, address: str, coin: Coin) -> None:
        """Open the account of a stranger, who then needs no money and is never liquidated."""
        if self._venue.ledger.get(address, coin.dex) is None:
            self._venue.ledger.account(address, coin.dex, self._venue.now_ms).exempt = True

    def _close(self, coin: Coin, trades: list[Trade]) -> Block:
        block = self._venue.close_block(coin, trades)
        self._publish(block)
        return block

    def move(
        self,
        user: str,
        coin: str,
        size: Number,
        *,
        counterparty: str = LIQUIDATOR,
        reason: str = "Auto-Deleveraging",
    ) -> AccountTruth:
        """Change a position by a signed size with no public trade; the counterparty mirrors it."""
        market, address, other = self._coin(coin), _address(user), _address(counterparty)
        delta = _number(size)
        if address == other:
            raise OrderError("a user cannot be its own counterparty")
        self._meet(address, market)
        self._meet(other, market)
        time_ms = self._venue.open_block(market)
        self._venue.ledger.shift(address, market, delta, time_ms, reason)
        self._venue.ledger.shift(other, market, -delta, time_ms, reason)
        return self.truth(address, market.dex)

    def deposit(self, user: str, amount: Number, dex: str = MAIN) -> AccountTruth:
        """Money into an account; a negative amount is a withdrawal."""
        address = _address(user)
        account = self._venue.ledger.account(address, dex, self._venue.now_ms)
        account.deposit(_number(amount), self._venue.now_ms)
        return self.truth(address, dex)

    def liquidate(self, user: str, *, dex: str = MAIN, method: str = "backstop") -> list[Block]:
        """Close all positions of a user: `market` to the book, `backstop` to the vault, `adl`.

        `adl` closes them against the winners of the other side, as two-sided public trades.
        """
        account = self._venue.ledger.get(_address(user), dex)
        if account is None or not account.positions:
            raise OrderError(f"{user} holds nothing to liquidate")
        if method not in {"market", "backstop", "adl"}:
            raise OrderError(f"unknown method {method!r}")
        self._venue.liquidations.force(account, method)
        blocks = []
        while self._venue.liquidations.waiting:
            block = self._venue.liquidations.take(self._venue)
            if block is not None:
                self._publish(block)
                blocks.append(block)
        return blocks

    def set_price(self, coin: str, price: Number) -> None:
        """Move a coin's price; who is ruined by it is liquidated by the blocks that follow."""
        value = _number(price)
        if value <= 0:
            raise OrderError("a price is positive")
        self._venue.market.set_price(self._coin(coin).name, float(value))

    def pace(self, trades_per_second: float) -> None:
        """Let the crowd trade so often; 0: not at all, while quotes and funding go on."""
        self._venue.set_pace(max(trades_per_second, QUIET))
        self._venue.move_clock(self._venue.now_ms)

    def list_coin(
        self, name: str, *, dex: str = MAIN, price: Number = 1, size_decimals: int = 1
    ) -> None:
        """List a new perpetual at the end of its dex's universe."""
        if name in self._venue.coins:
            raise OrderError(f"{name!r} is listed already")
        coin = Coin(
            name=name, dex=dex, size_decimals=size_decimals, price=float(_number(price)), share=1.0
        )
        self._venue.list_coin(coin)

    def delist_coin(self, name: str) -> None:
        """Delist a coin: it stays in the universe; positions settle with no public trade."""
        coin = self._coin(name)
        coin.delisted = True
        self._venue.relist()
        for account in list(self._venue.ledger.accounts.values()):
            position = account.positions.get(name)
            if position is not None and coin.dex != SPOT:
                self._venue.ledger.shift(
                    account.address, coin, -position.size, self._venue.now_ms, "Settlement"
                )

    def truth(self, user: str, dex: str = MAIN, *, at_ms: int | None = None) -> AccountTruth:
        """What an account really holds, now or as of an exchange time."""
        venue = self._venue
        return account_truth(_address(user), dex, venue.ledger, at_ms, venue.now_ms)

    def positions_at(self, dex: str, at_ms: int) -> dict[str, dict[str, Decimal] | None]:
        """Signed sizes of everybody in a dex as of an exchange time; None: too long ago to tell."""
        found: dict[str, dict[str, Decimal] | None] = {}
        for (address, of), account in self._venue.ledger.accounts.items():
            if of != dex:
                continue
            if not account.remembers(at_ms):
                found[address] = None
            else:
                held = account.at(at_ms)[1]
                found[address] = {coin: p.size for coin, p in held.items()}
        return found

    def all_positions(self, dex: str = MAIN) -> dict[str, dict[str, Decimal]]:
        """Signed sizes of everybody in a dex: address -> coin -> size; flat accounts left out."""
        return {
            address: {coin: p.size for coin, p in account.positions.items()}
            for (address, of), account in self._venue.ledger.accounts.items()
            if of == dex and account.positions
        }


def _address(user: str) -> str:
    if not ADDRESS.fullmatch(str(user)):
        raise OrderError(f"not an address: {user!r}")
    return str(user).lower()


def _number(value: Number) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation as exc:
        raise OrderError(f"not a number: {value!r}") from exc
    if not number.is_finite():
        raise OrderError(f"not a finite number: {value!r}")
    return number if number else ZERO
