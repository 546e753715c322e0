"""Liquidations: to the book first, below two thirds of maintenance to the liquidator vault."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

from simulator.accounts import Account
from simulator.behaviour import LIQUIDATOR
from simulator.ledger import Ledger
from simulator.listing import SPOT, Coin
from simulator.wire import Block, Trade

if TYPE_CHECKING:
    from simulator.venue import Venue


CHECK_STEP = Decimal("0.002")


class Liquidations:
    """Looks for accounts below maintenance and closes them, one block per coin."""

    def __init__(self, ledger: Ledger, coins: dict[str, Coin], rng: Random) -> None:
        self._ledger = ledger
        self._coins = coins
        self._rng = rng
        self._waiting: deque[tuple[Account, str, str]] = deque()
        self._queued: set[tuple[str, str]] = set()
        self._round: list[Account] = []
        self._checked: dict[str, Decimal] = {}
        self.watchful = False
        self.market_total = 0
        self.backstop_total = 0

    @property
    def waiting(self) -> bool:
        """Whether a liquidation is queued."""
        return bool(self._waiting)

    def look(self, trades: list[Trade], coin: Coin) -> None:
        """Check the parties of a block; all holders if the price has moved; one more in turn."""
        if coin.dex != SPOT and self._has_moved(coin.name):
            for holder in self._ledger.holders.get(coin.name, {}).values():
                self.check(holder)
        if coin.dex != SPOT:
            for address in dict.fromkeys(user for trade in trades for user in trade.users):
                account = self._ledger.get(address, coin.dex)
                if account is not None:
                    self.check(account)
        if not self._round:
            self._round = list(self._ledger.accounts.values())
        self.check(self._round.pop())

    def _has_moved(self, coin: str) -> bool:
        """Whether a price is far from where its holders were last checked."""
        mark = self._ledger.mark(coin)
        checked = self._checked.get(coin)
        if checked is not None and abs(mark - checked) < checked * CHECK_STEP:
            return False
        self._checked[coin] = mark
        return self.watchful

    def check(self, account: Account) -> None:
        """Queue an account's liquidation if its value is below its maintenance margin."""
        key = (account.address, account.dex)
        if account.exempt or not account.positions or account.dex == SPOT or key in self._queued:
            return
        value = account.value(self._ledger.mark)
        maintenance = self._ledger.maintenance(account)
        if value < maintenance:
            method = "backstop" if value * 3 < maintenance * 2 else "market"
            self.force(account, method)

    def force(self, account: Account, method: str) -> None:
        """Queue the liquidation of all positions of an account."""
        self._queued.add((account.address, account.dex))
        self._waiting.extend((account, coin, method) for coin in account.positions)

    def take(self, venue: Venue) -> Block | None:
        """Do the next queued liquidation; None if there is none."""
        while self._waiting:
            account, name, method = self._waiting.popleft()
            position = account.positions.get(name)
            trades: list[Trade] = []
            if position is not None:
                coin = self._coins[name]
                venue.open_block(coin)
                trades = self._close(venue, account, coin, position.size, method)
            if not self._waiting or self._waiting[0][0] is not account:
                self._finish(account, method, venue.now_ms)
            if trades:
                return venue.close_block(self._coins[name], trades)
        return None

    def _close(
        self, venue: Venue, account: Account, coin: Coin, size: Decimal, method: str
    ) -> list[Trade]:
        if method == "market":
            self.market_total += 1
            parts = self._rng.randint(1, 6)
            return venue.order(account.address, coin, -size, parts=parts, method=method)
        if method == "adl":
            return self._deleverage(venue, account, coin, size)
        self.backstop_total += 1
        mark = self._ledger.mark(coin.name)
        return venue.order(
            account.address, coin, -size, maker=LIQUIDATOR, price=mark, method=method
        )

    def _deleverage(self, venue: Venue, account: Account, coin: Coin, size: Decimal) -> list[Trade]:
        """Auto-deleveraging: the winners of the other side are closed at the mark, 1:1."""
        mark = self._ledger.mark(coin.name)
        winners = [
            (mark * position.size / position.cost, holder, position.size)
            for holder in self._ledger.holders[coin.name].values()
            if (position := holder.positions[coin.name]).size * size < 0
        ]
        winners.sort(key=lambda row: (row[0].copy_sign(-size), row[1].address), reverse=True)
        trades: list[Trade] = []
        left = size
        for _, holder, held in winners:
            if not left:
                break
            closed = min(abs(left), abs(held)).copy_sign(left)
            trades += venue.order(
                account.address, coin, -closed, maker=holder.address, price=mark, method="adl"
            )
            left -= closed
        return trades

    def _finish(self, account: Account, method: str, time_ms: int) -> None:
        """The vault takes what margin is left after a backstop, and makes up for a loss."""
        self._queued.discard((account.address, account.dex))
        vault = self._ledger.account(LIQUIDATOR, account.dex, time_ms)
        left = account.cash
        if not account.positions and (left < 0 or method == "backstop"):
            self._ledger.transfer(account, vault, left, time_ms)
