"""Moving prices that obey the exchange's tick rules."""

from __future__ import annotations

import math
from decimal import Decimal
from random import Random

import msgspec

from simulator.listing import SPOT, Coin

YEAR_MS = 365 * 86_400_000
PULL_PER_DAY = 0.15  # how fast a price returns towards its listing price: bounds long runs
JUMP_CHANCE = 0.0004


class Book(msgspec.Struct):
    """The top of one coin's book; `mid` is the unrounded price behind it."""

    coin: Coin
    mid: float
    time_ms: int
    bid: Decimal
    ask: Decimal
    mark: Decimal
    tick: Decimal
    open_price: Decimal
    last_block_ms: int = 0
    volume: float = 0.0


def price_decimals(price: float, size_decimals: int, *, spot: bool = False) -> int:
    """Decimals allowed: five significant figures, at most 6 (spot 8) minus the size's; >= 0.

    Integers are always allowed (reference: Tick and lot size).
    """
    significant = 4 - math.floor(math.log10(price))
    return max(0, min(significant, (8 if spot else 6) - size_decimals))


class Market:
    """All books; prices are log-normal walks with rare jumps, pulled back to where they began."""

    def __init__(self, coins: list[Coin], rng: Random, now_ms: int, volatility: float) -> None:
        self._rng = rng
        self._volatility = volatility
        self.books: dict[str, Book] = {}
        for coin in coins:
            self.add(coin, now_ms)

    def add(self, coin: Coin, now_ms: int) -> Book:
        """List a coin at its starting price."""
        zero = Decimal(0)
        book = Book(coin, coin.price, now_ms, zero, zero, zero, zero, zero)
        self.books[coin.name] = book
        self._quote(book)
        book.open_price = book.mark
        return book

    def advance(self, name: str, now_ms: int, speed: float) -> Book:
        """Let a coin's price walk up to `now_ms`."""
        book = self.books[name]
        elapsed_ms = max(0.0, (now_ms - book.time_ms) * speed)
        book.time_ms = max(now_ms, book.time_ms)
        scale = book.coin.volatility * self._volatility * math.sqrt(elapsed_ms / YEAR_MS)
        step = self._rng.gauss(0.0, 1.0) * scale
        if self._rng.random() < JUMP_CHANCE * self._volatility:
            step += self._rng.choice((-1.0, 1.0)) * self._rng.uniform(0.005, 0.05)
        pull = min(0.5, PULL_PER_DAY * elapsed_ms / 86_400_000)
        step += pull * math.log(book.coin.price / book.mid)
        book.mid *= math.exp(max(-0.4, min(0.4, step)))
        self._quote(book)
        return book

    def set_price(self, name: str, price: float) -> None:
        """Move a coin to a price at once; it stays there (the walk goes on from it)."""
        book = self.books[name]
        book.mid = book.coin.price = price
        self._quote(book)

    def _quote(self, book: Book) -> None:
        coin = book.coin
        decimals = price_decimals(book.mid, coin.size_decimals, spot=coin.dex == SPOT)
        book.tick = Decimal(1).scaleb(-decimals)
        book.mark = max(Decimal(f"{book.mid:.{decimals}f}"), book.tick)
        book.bid = max(book.mark - book.tick, book.tick)
        book.ask = max(book.mark + book.tick, book.bid + book.tick)
