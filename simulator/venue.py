"""The simulated exchange itself: a seeded stream of blocks, and the truth behind it."""

from __future__ import annotations

import time
from collections import deque
from decimal import Decimal
from random import Random

from simulator.behaviour import LIQUIDATOR, MIN_NOTIONAL, Population, leverage_for
from simulator.config import SimulatorConfig
from simulator.ledger import Ledger
from simulator.liquidation import Liquidations
from simulator.listing import MAIN, SPOT, Coin, default_coins
from simulator.market import Book, Market
from simulator.matching import MEAN_FRAME, Matching, frame_size, funded
from simulator.wire import Block, Trade

REPLAY_TRADES = 30
MAKER_DEPOSIT, VAULT_DEPOSIT = Decimal(60_000_000), Decimal(400_000_000)
MAKER_HISTORY = 4_000
CASH_FLOW_CHANCE = 0.01
SAME_MS_PACE = 2.0  # slower markets never share a ms: their times do not depend on who asks /info
RECENT_SECONDS = 600.0  # the replay of every coin stems from the last ten minutes of the warm-up


class Venue:
    """A market with its traders; `next_block()` moves everything one block on."""

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.rng = Random(config.seed)
        coins = [c for c in default_coins() if not config.coins or c.name in config.coins]
        self.coins: dict[str, Coin] = {coin.name: coin for coin in coins}
        end_ms = config.start_ms if config.start_ms is not None else time.time_ns() // 1_000_000
        span_ms = int(config.warmup_seconds * 1000)
        self._clock = self._due = float(end_ms - span_ms)
        self.now_ms = int(self._clock)
        self.market = Market(coins, self.rng, self.now_ms, config.volatility)
        self.ledger = Ledger(self.market, self.rng, config.history_per_account)
        self.population = Population(config, coins, self.rng)
        self.matching = Matching(
            self.ledger, self.market, self.population, self.rng, config.zero_hash_share
        )
        self.liquidations = Liquidations(self.ledger, self.coins, self.rng)
        self.recent: dict[str, deque[Trade]] = {c.name: deque(maxlen=REPLAY_TRADES) for c in coins}
        self._sealed_ms = 0
        self.trades_total = 0
        self.trades_by_coin: dict[str, int] = {}
        self.blocks_total = 0
        self.speed = 1.0
        self.funding_rates: dict[str, Decimal] = {}
        self._funding_ms = max(span_ms / 8, 1.0)
        self._next_funding = self._clock + self._funding_ms
        self._weigh()
        self._open_accounts()
        self._warm_up(end_ms)

    # -- set-up -------------------------------------------------------------------------------

    def _weigh(self) -> None:
        live = [c for c in self.coins.values() if not c.delisted]
        self._live, self._shares = live, [c.share for c in live]

    def _open_accounts(self) -> None:
        for address in self.population.makers:
            self.ledger.open_vault(address, MAKER_DEPOSIT, self.now_ms, MAKER_HISTORY)
        self.ledger.open_vault(LIQUIDATOR, VAULT_DEPOSIT, self.now_ms, MAKER_HISTORY)
        for trader in self.population.traders:
            account = self.ledger.account(
                trader.address, MAIN, self.now_ms, leverage=trader.leverage
            )
            account.unified = trader.unified
            account.created_ms = self.now_ms - int(self.rng.expovariate(1 / 150) * 86_400_000)
            account.deposit(trader.wealth_usd, self.now_ms)

    def _warm_up(self, end_ms: int) -> None:
        """History: a sparse past, then ten dense minutes that fill every coin's replay of 30."""
        recent = min(RECENT_SECONDS * 1000, self.config.warmup_seconds * 500)
        sparse = max(1, int(self.config.warmup_trades / MEAN_FRAME))
        self._pace = (end_ms - recent - self._clock) / sparse
        while self._due < end_ms - recent:
            self.next_block()
        self._clock = self._due = end_ms - recent
        for trades in self.recent.values():
            trades.clear()
        while missing := self._short_of_replay():
            self._pace = max(0.0, end_ms - self._clock) * MEAN_FRAME / sum(missing.values())
            for coin in missing:
                self._block_of(self.coins[coin])
                self._due = min(self._due, float(end_ms))
        self.speed = self.config.speed
        self.liquidations.watchful = True
        self.set_pace(self.config.trades_per_second)
        self.move_clock(max(end_ms, self.now_ms))
        self._funding_ms = self.config.funding_interval_seconds * 1000 / self.speed
        self._next_funding = self._clock + self._funding_ms

    def _short_of_replay(self) -> dict[str, int]:
        """The coins whose replay is not full yet, and how many trades it lacks."""
        lacking = {c.name: REPLAY_TRADES - len(self.recent[c.name]) for c in self._live}
        return {name: count for name, count in lacking.items() if count > 0}

    def set_pace(self, trades_per_second: float) -> None:
        """How many trades a second of exchange time holds, on average."""
        self._pace = 1000 * MEAN_FRAME / trades_per_second

    # -- time ---------------------------------------------------------------------------------

    @property
    def due_ms(self) -> float:
        """When the next block is due."""
        return self._clock if self.liquidations.waiting else self._due

    def move_clock(self, now_ms: float) -> None:
        """Set exchange time forward, with no block in between."""
        self._clock = max(self._clock, now_ms)
        self.now_ms = max(self.now_ms, int(now_ms))
        self._due = self._clock + self.rng.expovariate(1.0) * self._pace

    def next_block(self) -> Block:
        """Let the next block happen: a liquidation that waits, or somebody's orders."""
        forced = self.liquidations.take(self)
        if forced is not None:
            return forced
        for coin in self.rng.choices(self._live, self._shares, k=3):
            if self.market.books[coin.name].last_block_ms < self.now_ms:
                break
        return self._block_of(coin)

    def open_block(self, coin: Coin) -> int:
        """The time of a block of a coin that begins now: later than the coin's last one."""
        book = self.market.books[coin.name]
        earliest_ms = max(book.last_block_ms, self._sealed_ms) + 1
        self.now_ms = max(self.now_ms, int(self._clock), earliest_ms)
        self.market.advance(coin.name, self.now_ms, self.speed)
        return self.now_ms

    def seal(self) -> None:
        """A state of this moment was told: whatever happens from here on has a later time."""
        self._sealed_ms = self.now_ms

    def close_block(self, coin: Coin, trades: list[Trade]) -> Block:
        """Record the block of a coin."""
        time_ms = self.now_ms
        self.market.books[coin.name].last_block_ms = time_ms
        self.recent[coin.name].extend(trades)
        book = self.market.books[coin.name]
        book.volume += sum(float(trade.px) * float(trade.sz) for trade in trades)
        self.trades_total += len(trades)
        known = self.trades_by_coin.get(coin.name, 0)
        self.trades_by_coin[coin.name] = known + len(trades)
        self.blocks_total += 1
        return Block(coin.name, time_ms, trades)

    # -- the crowd ----------------------------------------------------------------------------

    def _block_of(self, coin: Coin) -> Block:
        if self._pace >= SAME_MS_PACE:
            self.seal()
        self._clock = max(self._clock, self._due)
        self._due = self._clock + self.rng.expovariate(1.0) * self._pace
        time_ms = self.open_block(coin)
        if self._clock >= self._next_funding:
            self.pay_funding()
        trades: list[Trade] = []
        wanted = frame_size(self.rng)
        for _ in range(4):
            if len(trades) >= wanted:
                break
            left = wanted - len(trades)
            parts = left if self.rng.random() < 0.7 else self.rng.randint(1, left)
            trades += self._crowd_order(coin, parts)
        if not trades:
            trades = self._maker_order(coin)
        self._cash_flows(time_ms)
        self.liquidations.look(trades, coin)
        return self.close_block(coin, trades)

    def _crowd_order(self, coin: Coin, parts: int) -> list[Trade]:
        book = self.market.books[coin.name]
        vault = self.ledger.get(LIQUIDATOR, coin.dex)
        if vault is not None and coin.name in vault.positions and self.rng.random() < 0.05:
            return self.order(LIQUIDATOR, coin, -vault.positions[coin.name].size, parts=parts)
        trader = self.population.draw(coin)
        if trader is None:
            return []
        account = funded(self.ledger, trader, coin, self.now_ms)
        position = account.positions.get(coin.name)
        held = position.size if position else Decimal(0)
        free = self.ledger.free_usd(account, leverage_for(coin, trader.leverage)) * 9 / 10
        delta = self.population.decide(trader, held, book, free)
        return self.order(trader.address, coin, delta, parts=parts) if delta else []

    def _maker_order(self, coin: Coin) -> list[Trade]:
        """A market maker takes a little, so that no block is empty."""
        book = self.market.books[coin.name]
        lots = max(1, int(MIN_NOTIONAL * 2 / (book.mark * coin.lot)))
        sign = self.rng.choice((-1, 1))
        return self.order(self.rng.choice(self.population.makers), coin, sign * lots * coin.lot)

    def order(
        self,
        taker: str,
        coin: Coin,
        delta: Decimal,
        *,
        parts: int = 1,
        maker: str | None = None,
        price: Decimal | None = None,
        method: str = "",
    ) -> list[Trade]:
        """Fill a market order of a signed size in the open block (see Matching.fill)."""
        return self.matching.fill(
            taker,
            coin,
            delta,
            self.now_ms,
            parts=parts,
            maker=maker,
            price=price,
            method=method,
        )

    # -- money --------------------------------------------------------------------------------

    def _cash_flows(self, time_ms: int) -> None:
        """Now and then somebody deposits, or takes out a part of a profit."""
        if self.rng.random() >= CASH_FLOW_CHANCE:
            return
        trader = self.population.anyone()
        if trader is None:
            return
        account = self.ledger.account(trader.address, MAIN, time_ms, leverage=trader.leverage)
        part = Decimal(f"{self.rng.uniform(0.05, 0.4):.3f}")
        profit = account.cash - account.deposits + account.withdrawals
        free = account.value(self.ledger.mark) - account.notional(self.ledger.mark) / 2
        if profit > 0 and free > profit:
            account.deposit(-(profit * part).quantize(Decimal("0.01")), time_ms)
        else:
            account.deposit((trader.wealth_usd * part).quantize(Decimal("0.01")), time_ms)

    def pay_funding(self) -> None:
        """One funding payment of every open position, at rates near the exchange's floor."""
        hours = 1 if self._funding_ms < 7_200_000 else int(self._funding_ms / 3_600_000)
        self.funding_rates = {
            coin.name: Decimal(f"{1.25e-5 * self.rng.uniform(-1.0, 3.0):.10f}") * hours
            for coin in self._live
            if coin.dex != SPOT
        }
        self.ledger.pay_funding(self.funding_rates, self.now_ms)
        self._next_funding = self._clock + self._funding_ms

    # -- listings -----------------------------------------------------------------------------

    def relist(self) -> None:
        """Take the changed listing into account."""
        self._weigh()

    def list_coin(self, coin: Coin) -> None:
        """List a coin at the end of the universe."""
        self.coins[coin.name] = coin
        self.market.add(coin, self.now_ms)
        self.recent[coin.name] = deque(maxlen=REPLAY_TRADES)
        self.population.enter(coin)
        self._weigh()

    def book(self, coin: str) -> Book:
        """The top of a coin's book."""
        return self.market.books[coin]
