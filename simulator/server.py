"""A simulated exchange on a port of its own, usable from synchronous code."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from simulator.app import App
from simulator.config import SimulatorConfig
from simulator.control import Control
from simulator.faults import Faults
from simulator.hub import Hub
from simulator.listing import MAIN
from simulator.live import Live, World
from simulator.orders import Number, Orders
from simulator.truth import AccountTruth
from simulator.wire import Block

T = TypeVar("T")


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol; it registers its transport, so that faults can reach the socket."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.app_state.setdefault("transports", {})[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.app_state["transports"].pop(self.client, None)
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    """uvicorn's server; it tells when it listens."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()


class Simulator:
    """A running exchange: `with Simulator(SimulatorConfig(seed=1)) as sim: ...`.

    Its clock stands still until `step()` or `run()`. All methods are thread-safe: they run on the
    server's own loop.
    """

    def __init__(
        self,
        config: SimulatorConfig | None = None,
        *,
        world: World | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config or SimulatorConfig()
        self.world: World = world if world is not None else Live(self.config)
        self._hub = Hub(self.world.source, self.config.limits, now)
        self.world.attach(self._hub)
        self._control = Control(self._hub, self.world.state, self.world.orders, self.world.play)
        self._app = App(self._hub, self.world.info, self._control, now)
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._uvicorn: uvicorn.Server | None = None
        self._port = self.config.port

    # -- life -----------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen; returns when requests are answered. Raises OSError if the port is taken."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.config.host, self.config.port))
        except OSError:
            listener.close()
            raise
        self._port = listener.getsockname()[1]
        self._thread = threading.Thread(
            target=self._serve, args=(listener,), name="simulator", daemon=True
        )
        self._thread.start()
        if not self._ready.wait(10):
            raise OSError("the simulator did not start")
        return self

    def stop(self) -> None:
        """Close every connection and end the thread."""
        if self._thread is None or self._uvicorn is None:
            return
        self.set_faults(Faults())
        self._uvicorn.should_exit = True
        self._thread.join(5)
        self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _serve(self, listener: socket.socket) -> None:
        config = uvicorn.Config(
            self._app,
            http=_Protocol,
            ws=WebSocketsSansIOProtocol,
            ws_per_message_deflate=False,
            ws_ping_interval=None,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(self._main(config, listener))

    async def _main(self, config: uvicorn.Config, listener: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._uvicorn = _Server(config, self._ready)
        serving = asyncio.create_task(self._uvicorn.serve(sockets=[listener]))
        background = [asyncio.create_task(self.world.run()), asyncio.create_task(self._tick())]
        await asyncio.wait([serving, *background], return_when=asyncio.FIRST_COMPLETED)
        self._uvicorn.should_exit = True
        await serving
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            self._hub.tick()

    def _call(self, function: Callable[[], T]) -> T:
        """Run a function on the server's loop, or here while it is not running."""
        if self._thread is None or self._loop is None:
            return function()

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(60)

    # -- where it is ------------------------------------------------------------------------------

    @property
    def api_url(self) -> str:
        """What to use for `https://api.hyperliquid.xyz`."""
        return f"http://{self.config.host}:{self._port}"

    @property
    def ws_url(self) -> str:
        """What to use for `wss://api.hyperliquid.xyz/ws`."""
        return f"ws://{self.config.host}:{self._port}/ws"

    # -- time -------------------------------------------------------------------------------------

    def step(self, blocks: int = 0, *, seconds: float = 0.0) -> int:
        """Play blocks, or all that fall into some seconds of exchange time; returns how many."""
        return self._call(lambda: self.world.play(blocks, seconds))

    def run(self, trades_per_second: float | None = None) -> None:
        """Follow the wall clock from now on, in the background."""
        self._call(lambda: self._live.start(trades_per_second))

    def pause(self) -> None:
        """Let the clock stand still again."""
        self._call(lambda: setattr(self._live, "running", False))

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
        return self._call(
            lambda: self._orders.trade(
                user, coin, size, price=price, counterparty=counterparty, parts=parts
            )
        )

    def move(self, user: str, coin: str, size: Number, **more: str) -> AccountTruth:
        """Change a position by a signed size with no public trade."""
        return self._call(lambda: self._orders.move(user, coin, size, **more))

    def deposit(self, user: str, amount: Number, dex: str = MAIN) -> AccountTruth:
        """Money into an account; negative: out of it."""
        return self._call(lambda: self._orders.deposit(user, amount, dex))

    def liquidate(self, user: str, *, dex: str = MAIN, method: str = "backstop") -> list[Block]:
        """Liquidate all positions of a user: `market` or `backstop`."""
        return self._call(lambda: self._orders.liquidate(user, dex=dex, method=method))

    def set_price(self, coin: str, price: Number) -> None:
        """Move a coin's price."""
        self._call(lambda: self._orders.set_price(coin, price))

    def list_coin(self, name: str, **more: Any) -> None:
        """List a new coin (`dex`, `price`, `size_decimals`)."""
        self._call(lambda: self._orders.list_coin(name, **more))

    def delist_coin(self, name: str) -> None:
        """Delist a coin and settle its positions with no public trade."""
        self._call(lambda: self._orders.delist_coin(name))

    # -- truth ----------------------------------------------------------------------------------

    def truth(self, user: str, dex: str = MAIN, *, at_ms: int | None = None) -> AccountTruth:
        """What an account really holds, now or as of an exchange time."""
        return self._call(lambda: self._orders.truth(user, dex, at_ms=at_ms))

    def all_positions(self, dex: str = MAIN) -> dict[str, dict[str, Decimal]]:
        """Signed sizes of everybody in a dex: address -> coin -> size."""
        return self._call(lambda: self._orders.all_positions(dex))

    def traders(self) -> list[str]:
        """The addresses of the population, the most active first."""
        return [trader.address for trader in self._live.venue.population.traders]

    def state(self) -> dict[str, Any]:
        """Counters of the market and of the connections."""
        return self._call(lambda: self.world.state() | {"connections": self._control.connections()})

    def weight(self) -> dict[str, Any]:
        """What every IP has spent of its weight."""
        return self._call(self._control.weight)

    def max_weight_in_any_60s(self) -> int:
        """The most that any IP asked for in any sliding 60 s, refused requests included."""
        return int(self.weight()["max_in_any_60s"])

    # -- faults ---------------------------------------------------------------------------------

    def set_faults(self, faults: Faults) -> None:
        """Put these faults in force, and no others."""
        self._call(lambda: self._hub.set_faults(faults))

    @contextlib.contextmanager
    def fault(self, **changes: Any) -> Iterator[None]:
        """Faults for the length of a `with` block, on top of those in force."""
        before = self._hub.faults
        self.set_faults(msgspec.structs.replace(before, **changes))
        try:
            yield
        finally:
            self.set_faults(before)

    def drop(self, code: int = 1000, connections: tuple[int, ...] = ()) -> int:
        """Close connections now (1006 aborts); returns how many."""
        return self._call(lambda: self._hub.drop(code, connections))
