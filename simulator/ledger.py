"""All accounts: settling trades, silent changes, deposits, funding, margin."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from random import Random

from simulator.accounts import MICRO, ZERO, Account, Fill, Position, apply_fill, direction
from simulator.behaviour import is_isolated, leverage_for
from simulator.listing import MAIN, Coin
from simulator.market import Market
from simulator.wire import Trade, text

TAKER_FEE, MAKER_FEE = Decimal("0.00045"), Decimal("0.00015")
FREE_METHODS = frozenset({"backstop", "adl"})
EQUITY_STEP_MS = 3_600_000
BUILDER_DEPOSIT = Decimal(10_000_000)  # what vaults bring to a dex besides the main one
TID_BITS = 50


class Ledger:
    """Every account of every dex; whatever changes a position goes through here."""

    def __init__(self, market: Market, rng: Random, history: int) -> None:
        self._market = market
        self._rng = rng
        self._history = history
        self._oid = 512_000_000_000
        self._fee_free: set[str] = set()
        self.accounts: dict[tuple[str, str], Account] = {}
        self.holders: dict[str, dict[str, Account]] = {}

    def mark(self, coin: str) -> Decimal:
        """The mark price."""
        return self._market.books[coin].mark

    def get(self, address: str, dex: str = MAIN) -> Account | None:
        """An account that exists."""
        return self.accounts.get((address, dex))

    def account(self, address: str, dex: str, time_ms: int, *, leverage: int = 5) -> Account:
        """An account, opened if need be; vaults bring money from the main dex to another."""
        found = self.accounts.get((address, dex))
        if found is None:
            main = self.accounts.get((address, MAIN))
            found = Account(address, dex, leverage=leverage, history=self._history)
            if main is not None:
                found.leverage, found.exempt = main.leverage, main.exempt
                found.created_ms = main.created_ms
            self.accounts[address, dex] = found
            if main is not None and main.exempt and main.cash > 2 * BUILDER_DEPOSIT:
                self.transfer(main, found, BUILDER_DEPOSIT, time_ms)
        return found

    def open_vault(self, address: str, deposit: Decimal, time_ms: int, history: int) -> Account:
        """An account that is never liquidated: market makers, the liquidator."""
        account = Account(address, MAIN, leverage=20, history=history)
        account.exempt = True
        account.deposit(deposit, time_ms)
        self.accounts[address, MAIN] = account
        return account

    def trade(
        self,
        coin: Coin,
        buyer: str,
        seller: str,
        *,
        buyer_takes: bool,
        price: Decimal,
        size: Decimal,
        tx_hash: str,
        time_ms: int,
        method: str = "",
        liquidated: str = "",
    ) -> Trade:
        """Settle one trade on both sides and return what the public feed shows."""
        tid = self._rng.getrandbits(TID_BITS)
        label = _forced_direction(method, coin, victim_sells=liquidated == seller)
        sides = ((buyer, size, buyer_takes), (seller, -size, not buyer_takes))
        for address, delta, crossed in sides:
            rate = ZERO if method in FREE_METHODS else TAKER_FEE if crossed else MAKER_FEE
            fee = (price * size * rate).quantize(MICRO, ROUND_HALF_EVEN)
            self._oid += 1
            # positional: this runs twice for every trade of the market
            fill = Fill(
                *(coin.name, price, size, delta > 0, time_ms, ZERO, ZERO, fee, tx_hash),
                *(self._oid, tid, crossed, method, liquidated, label),
            )
            self._settle(self.account(address, coin.dex, time_ms), coin, delta, price, fill)
        return Trade(
            coin.name,
            "B" if buyer_takes else "A",
            text(price),
            text(size),
            time_ms,
            tx_hash,
            tid,
            (buyer, seller),
        )

    def _settle(
        self, account: Account, coin: Coin, delta: Decimal, price: Decimal, fill: Fill
    ) -> None:
        before = account.positions.get(coin.name)
        account.note(fill.time_ms, coin.name, fill)
        fresh = Position(
            ZERO, ZERO, leverage_for(coin, account.leverage), is_isolated(coin), fill.time_ms
        )
        after, fill.closed_pnl = apply_fill(before, delta, price, opened=fresh)
        fill.start = before.size if before else ZERO
        fill.dir = fill.dir or direction(fill.start, delta)
        account.put(coin.name, after)
        holders = self.holders.setdefault(coin.name, {})
        if after is None:
            holders.pop(account.address, None)
        else:
            holders[account.address] = account
        account.realised += fill.closed_pnl
        account.fees += fill.fee
        account.volume += price * fill.size
        if not account.created_ms:
            account.created_ms = fill.time_ms
        self._sample(account, fill.time_ms)

    def _sample(self, account: Account, time_ms: int) -> None:
        if account.equity and time_ms - account.equity[-1][0] < EQUITY_STEP_MS:
            return
        value = account.value(self.mark)
        pnl = value - account.deposits + account.withdrawals
        account.equity.append((time_ms, value, pnl, account.volume))

    def shift(self, address: str, coin: Coin, delta: Decimal, time_ms: int, reason: str) -> None:
        """Change a position at the mark with no public trade: ADL, netting, settlement.

        The caller keeps the sizes of the coin at 0 by shifting somebody else the other way.
        """
        self._oid += 1
        price = self.mark(coin.name)
        fill = Fill(
            coin.name,
            price,
            abs(delta),
            delta > 0,
            time_ms,
            ZERO,
            ZERO,
            ZERO,
            f"0x{self._rng.getrandbits(256):064x}",
            self._oid,
            self._rng.getrandbits(TID_BITS),
            crossed=True,
            dir=reason,
        )
        self._settle(self.account(address, coin.dex, time_ms), coin, delta, price, fill)

    def transfer(self, source: Account, target: Account, amount: Decimal, time_ms: int) -> None:
        """Money from one account to another: a withdrawal and a deposit (negative: reversed)."""
        source.deposit(-amount, time_ms)
        target.deposit(amount, time_ms)

    def pay_funding(self, rates: dict[str, Decimal], time_ms: int) -> None:
        """Pay every open position's funding."""
        for account in self.accounts.values():
            for coin in list(account.positions):
                if coin in rates:
                    account.pay_funding(coin, self.mark(coin), rates[coin], time_ms)

    def maintenance(self, account: Account) -> Decimal:
        """Maintenance margin: half the initial margin at each coin's maximal leverage."""
        books = self._market.books
        return sum(
            (
                abs(p.size) * books[c].mark / (2 * books[c].coin.max_leverage)
                for c, p in account.positions.items()
            ),
            ZERO,
        )

    def free_usd(self, account: Account, leverage: int) -> Decimal:
        """Notional that an account may still add at a leverage."""
        room = account.value(self.mark) * leverage - account.notional(self.mark)
        return max(room, ZERO)


def _forced_direction(method: str, coin: Coin, *, victim_sells: bool) -> str:
    """The `dir` of both fills of a forced trade: it names the victim's position, not the side."""
    if method == "adl":
        return "Auto-Deleveraging"
    if method != "backstop":
        return ""
    margin = "Isolated" if is_isolated(coin) else "Cross"
    return f"Liquidated {margin} {'Long' if victim_sells else 'Short'}"
