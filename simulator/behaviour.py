"""Who trades what: a population with heavy-tailed activity, and market makers opposite to it."""

from __future__ import annotations

from bisect import bisect_left
from decimal import ROUND_DOWN, Decimal
from itertools import accumulate
from random import Random

import msgspec

from simulator.config import SimulatorConfig
from simulator.listing import MAIN, SPOT, Coin
from simulator.market import Book

# The exchange's own vaults (reference: HLP addresses): they trade, and take over the liquidated.
HLP_MAKERS = (
    "0x010461c14e146ac35fe42271bdc1134ee31c703a",
    "0x31ca8395cf837de08b24da3f660e77761dfb974b",
)
LIQUIDATOR = "0x2e3d94f0562703b25c83308a05046ddaf9a8dd14"
MIN_NOTIONAL = 10
ZIPF_EXPONENT = 0.9
RECKLESS_SHARE = 0.06  # who puts everything on one coin: the liquidated come from here


class Trader(msgspec.Struct):
    """One address and its habits; `wealth_usd` is what it deposits when it runs out of money."""

    address: str
    leverage: int
    wealth_usd: Decimal
    median_usd: float
    flips: float
    reckless: bool
    unified: bool = False


class Population:
    """The traders of every coin, drawn with Zipf-like weights, and the market makers."""

    def __init__(self, config: SimulatorConfig, coins: list[Coin], rng: Random) -> None:
        self._rng = rng
        self.traders = [self._trader(config) for _ in range(config.traders)]
        makers = [_address(rng) for _ in range(max(0, config.market_makers - len(HLP_MAKERS)))]
        self.makers = [*HLP_MAKERS, *makers]
        self._activity = [1 / (rank + 3) ** ZIPF_EXPONENT for rank in range(config.traders)]
        self._members: dict[str, list[Trader]] = {}
        self._weights: dict[str, list[float]] = {}
        for coin in coins:
            self.enter(coin)

    def _trader(self, config: SimulatorConfig) -> Trader:
        rng = self._rng
        wealth = min(3e6, max(60.0, rng.lognormvariate(7.8, 1.7)))
        return Trader(
            address=_address(rng),
            leverage=rng.choice((1, 2, 3, 3, 5, 5, 10, 10, 20, 40)),
            wealth_usd=Decimal(f"{wealth:.2f}"),
            median_usd=min(wealth, rng.lognormvariate(5.0, 1.2)),
            flips=rng.choice((0.0, 0.02, 0.05, 0.2)),
            reckless=rng.random() < RECKLESS_SHARE,
            unified=rng.random() < config.unified_share,
        )

    def enter(self, coin: Coin) -> None:
        """Choose who trades a coin: every busy coin many, thin ones few; all trade something."""
        if coin.delisted:
            return
        chance = min(1.0, 0.05 + coin.share / 8)
        chosen = [i for i in range(len(self.traders)) if self._rng.random() < chance]
        self._members[coin.name] = [self.traders[i] for i in chosen]
        self._weights[coin.name] = list(accumulate(self._activity[i] for i in chosen))

    def draw(self, coin: Coin) -> Trader | None:
        """One trader of the coin, the active ones more often."""
        weights = self._weights.get(coin.name)
        if not weights:
            return None
        index = bisect_left(weights, self._rng.random() * weights[-1])
        return self._members[coin.name][min(index, len(weights) - 1)]

    def anyone(self) -> Trader | None:
        """One trader, all alike."""
        return self._rng.choice(self.traders) if self.traders else None

    def decide(self, trader: Trader, held: Decimal, book: Book, free_usd: Decimal) -> Decimal:
        """The signed size that a trader wants now; 0 if nothing is worth an order.

        Flat: open. Holding: close (round trips), reduce, add or flip.
        """
        rng = self._rng
        draw = rng.random()
        if held and draw < 0.55:
            return -held
        wanted_usd = min(
            Decimal(f"{rng.lognormvariate(0.0, 1.3) * trader.median_usd:.2f}"), free_usd
        )
        if trader.reckless:
            wanted_usd = free_usd * Decimal(f"{rng.uniform(0.5, 0.98):.3f}")
        if held and draw < 0.7:
            return -_round_size(held * Decimal(f"{rng.uniform(0.1, 0.9):.3f}"), book)
        sign = rng.choice((-1, 1)) if not held else (1 if held > 0 else -1)
        if book.coin.dex == SPOT:
            sign = 1
        size = _round_size(sign * wanted_usd / book.mark, book)
        if abs(size) * book.mark < MIN_NOTIONAL:
            return Decimal(0)
        if held and book.coin.dex != SPOT and rng.random() < trader.flips:
            return -held - size
        return size


def _round_size(size: Decimal, book: Book) -> Decimal:
    return size.quantize(book.coin.lot, ROUND_DOWN)


def _address(rng: Random) -> str:
    return f"0x{rng.getrandbits(160):040x}"


def leverage_for(coin: Coin, wanted: int) -> int:
    """What a trader's leverage is in a coin: never above the coin's."""
    return 1 if coin.dex == SPOT else min(wanted, coin.max_leverage)


def is_isolated(coin: Coin) -> bool:
    """Builders' markets take isolated margin alone."""
    return coin.dex not in (MAIN, SPOT)
