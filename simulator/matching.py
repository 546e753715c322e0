"""How one order becomes trades: frame sizes, parts, price levels, counterparties."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from random import Random

from simulator.accounts import ZERO, Account
from simulator.behaviour import MIN_NOTIONAL, Population, Trader, leverage_for
from simulator.ledger import Ledger
from simulator.listing import SPOT, Coin
from simulator.market import Market
from simulator.wire import ZERO_HASH, Trade

# Measured on the real feed: 67 % of frames hold one trade, 17 % two, 6 % three, 3 % four; up to 49.
MEAN_FRAME = 1.9
LARGEST_FRAME = 49
PASSIVE_TRADER_SHARE = 0.35
_SMALL = ((0.67, 1), (0.84, 2), (0.90, 3), (0.93, 4))


def frame_size(rng: Random) -> int:
    """Trades of one block of one coin."""
    draw = rng.random()
    for bound, size in _SMALL:
        if draw < bound:
            return size
    if rng.random() < 0.02:
        return rng.randint(25, LARGEST_FRAME)
    return min(LARGEST_FRAME, 5 + int(rng.expovariate(1 / 2.4)))


def split(size: Decimal, lot: Decimal, parts: int, rng: Random) -> list[Decimal]:
    """Cut a size into at most `parts` positive multiples of the lot that add up to it."""
    lots = int(size / lot)
    parts = min(parts, lots)
    if parts <= 1:
        return [size]
    cuts = sorted(rng.sample(range(1, lots), parts - 1)) if lots > 1 else []
    bounds = [0, *cuts, lots]
    return [(high - low) * lot for low, high in pairwise(bounds)]


def level_prices(
    touch: Decimal, tick: Decimal, count: int, *, buys: bool, rng: Random
) -> list[Decimal]:
    """Prices of an order's trades: from the touch away from the taker, never below one tick."""
    prices: list[Decimal] = []
    price = touch
    for _ in range(count):
        prices.append(price)
        if rng.random() < 0.3:
            price = price + tick if buys else max(price - tick, tick)
    return prices


def funded(ledger: Ledger, trader: Trader, coin: Coin, time_ms: int) -> Account:
    """The trader's account in the coin's dex; who has run out of money deposits again."""
    account = ledger.account(trader.address, coin.dex, time_ms, leverage=trader.leverage)
    if not account.positions and account.cash < MIN_NOTIONAL * 2:
        account.deposit(trader.wealth_usd + max(-account.cash, ZERO), time_ms)
    return account


class Matching:
    """Finds who is on the other side of an order, and settles its trades."""

    def __init__(
        self,
        ledger: Ledger,
        market: Market,
        population: Population,
        rng: Random,
        zero_hash_share: float,
    ) -> None:
        self._ledger = ledger
        self._market = market
        self._population = population
        self._rng = rng
        self._zero_hash_share = zero_hash_share

    def fill(
        self,
        taker: str,
        coin: Coin,
        delta: Decimal,
        time_ms: int,
        *,
        parts: int = 1,
        maker: str | None = None,
        price: Decimal | None = None,
        method: str = "",
    ) -> list[Trade]:
        """Fill a market order of a signed size against passive traders, in the open block."""
        book = self._market.books[coin.name]
        buys = delta > 0
        sizes = split(abs(delta), coin.lot, parts, self._rng)
        touch = price or (book.ask if buys else book.bid)
        prices = level_prices(touch, book.tick, len(sizes), buys=buys, rng=self._rng)
        twap = not method and self._rng.random() < self._zero_hash_share
        tx_hash = ZERO_HASH if twap else f"0x{self._rng.getrandbits(256):064x}"
        trades = []
        for size, level in zip(sizes, prices, strict=True):
            other = maker or self._passive(coin, taker, -size if buys else size, time_ms)
            trades.append(
                self._ledger.trade(
                    coin,
                    taker if buys else other,
                    other if buys else taker,
                    buyer_takes=buys,
                    price=price or level,
                    size=size,
                    tx_hash=tx_hash,
                    time_ms=time_ms,
                    method=method,
                    liquidated=taker if method else "",
                )
            )
        if price is None:
            book.mid += float(prices[-1] - touch) * 0.5
        return trades

    def _passive(self, coin: Coin, taker: str, delta: Decimal, time_ms: int) -> str:
        """Who rests on the other side: now and then an ordinary trader, else a market maker."""
        if coin.dex != SPOT and self._rng.random() < PASSIVE_TRADER_SHARE:
            trader = self._population.draw(coin)
            if trader is not None and trader.address != taker:
                account = funded(self._ledger, trader, coin, time_ms)
                room = self._ledger.free_usd(account, leverage_for(coin, trader.leverage))
                if abs(delta) * self._ledger.mark(coin.name) < room * 8 / 10:
                    return trader.address
        return self._least_burdened(coin, taker, 1 if delta > 0 else -1)

    def _least_burdened(self, coin: Coin, taker: str, sign: int) -> str:
        others = [m for m in self._population.makers if m != taker]
        thin = coin.share < 0.5 and self._rng.random() < 0.4
        sample = others[:2] if thin else self._rng.sample(others, min(3, len(others)))
        return min(sample, key=lambda address: sign * self._held(address, coin))

    def _held(self, address: str, coin: Coin) -> Decimal:
        account = self._ledger.get(address, coin.dex)
        position = account.positions.get(coin.name) if account else None
        return position.size if position else Decimal(0)
