"""A simulated exchange, usable from synchronous code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from simulator.faults import Faults
from simulator.listing import MAIN
from simulator.live import Live
from simulator.orders import Number, Orders
from simulator.server import Server
from simulator.truth import AccountTruth
from simulator.wire import Block


class Simulator(Server):
    """A running exchange: `with Simulator(SimulatorConfig(seed=1)) as sim: ...`.

    Its clock stands still until `step()` or `run()`. All methods are thread-safe: they run on the
    server's own loop.
    """

    # -- time -------------------------------------------------------------------------------------

    def step(self, blocks: int = 0, *, seconds: float = 0.0) -> int:
        """Play blocks, or all that fall into some seconds of exchange time; returns how many."""
        return self.call(lambda: self.world.play(blocks, seconds))

    def run(self, trades_per_second: float | None = None) -> None:
        """Follow the wall clock from now on, in the background."""
        self.call(lambda: self._live.start(trades_per_second))

    def pause(self) -> None:
        """Let the clock stand still again."""
        self.call(lambda: setattr(self._live, "running", False))

    @property
    def _live(self) -> Live:
        if not isinstance(self.world, Live):
            raise TypeError("a recording has no market")
        return self.world

    @property
    def _orders(self) -> Orders:
        if self.world.orders is None:
            raise TypeError("a recording takes no orders")
        return self.world.orders

    @property
    def now_ms(self) -> int:
        """Exchange time."""
        return self.world.info.now_ms

    # -- orders ---------------------------------------------------------------------------------

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
        """Let a user take a signed size, as one block of `parts` trades."""
        return self.call(
            lambda: self._orders.trade(
                user, coin, size, price=price, counterparty=counterparty, parts=parts
            )
        )

    def move(self, user: str, coin: str, size: Number, **more: str) -> AccountTruth:
        """Change a position by a signed size with no public trade."""
        return self.call(lambda: self._orders.move(user, coin, size, **more))

    def deposit(self, user: str, amount: Number, dex: str = MAIN) -> AccountTruth:
        """Money into an account; negative: out of it."""
        return self.call(lambda: self._orders.deposit(user, amount, dex))

    def liquidate(self, user: str, *, dex: str = MAIN, method: str = "backstop") -> list[Block]:
        """Close all positions of a user: `market`, `backstop` or `adl`."""
        return self.call(lambda: self._orders.liquidate(user, dex=dex, method=method))

    def set_price(self, coin: str, price: Number) -> None:
        """Move a coin's price."""
        self.call(lambda: self._orders.set_price(coin, price))

    def list_coin(self, name: str, **more: Any) -> None:
        """List a new coin (`dex`, `price`, `size_decimals`)."""
        self.call(lambda: self._orders.list_coin(name, **more))

    def delist_coin(self, name: str) -> None:
        """Delist a coin and settle its positions with no public trade."""
        self.call(lambda: self._orders.delist_coin(name))

    # -- truth ----------------------------------------------------------------------------------

    def truth(self, user: str, dex: str = MAIN, *, at_ms: int | None = None) -> AccountTruth:
        """What an account really holds, now or as of an exchange time."""
        return self.call(lambda: self._orders.truth(user, dex, at_ms=at_ms))

    def all_positions(self, dex: str = MAIN) -> dict[str, dict[str, Decimal]]:
        """Signed sizes of everybody in a dex: address -> coin -> size."""
        return self.call(lambda: self._orders.all_positions(dex))

    def traders(self) -> list[str]:
        """The addresses of the population, the most active first."""
        return [trader.address for trader in self._live.venue.population.traders]

    def makers(self) -> list[str]:
        """The addresses of the market makers."""
        return list(self._live.venue.population.makers)

    def state(self) -> dict[str, Any]:
        """Counters of the market and of the connections."""
        return self.call(lambda: self.world.state() | {"connections": self.control.connections()})

    def weight(self) -> dict[str, Any]:
        """What every IP has spent of its weight."""
        return self.call(self.control.weight)

    def max_weight_in_any_60s(self) -> int:
        """The most that any IP asked for in any sliding 60 s, refused requests included."""
        return int(self.weight()["max_in_any_60s"])

    def connects(self) -> dict[str, Any]:
        """The attempts to connect of every IP, whatever became of them."""
        return self.call(self.control.connects)

    def max_connects_in_any_60s(self) -> int:
        """The most attempts to connect of any IP in any sliding 60 s, refused ones included."""
        return int(self.connects()["max_in_any_60s"])

    # -- faults ---------------------------------------------------------------------------------

    def set_faults(self, faults: Faults) -> None:
        """Put these faults in force, and no others."""
        self.call(lambda: self.hub.set_faults(faults))

    @contextlib.contextmanager
    def fault(self, **changes: Any) -> Iterator[None]:
        """Faults for the length of a `with` block, on top of those in force."""
        before = self.hub.faults
        self.set_faults(msgspec.structs.replace(before, **changes))
        try:
            yield
        finally:
            self.set_faults(before)

    def drop(self, code: int = 1000, connections: tuple[int, ...] = ()) -> int:
        """Close connections now (1006 aborts); returns how many."""
        return self.call(lambda: self.hub.drop(code, connections))
