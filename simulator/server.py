"""Serving a world on a port, from a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from simulator.app import App
from simulator.config import SimulatorConfig
from simulator.control import Control
from simulator.faults import Faults
from simulator.hub import Hub
from simulator.live import Live, World

T = TypeVar("T")


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol; it registers its transport, so that faults can reach the socket."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Register the transport."""
        super().connection_made(transport)
        self.app_state.setdefault("transports", {})[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the transport."""
        self.app_state["transports"].pop(self.client, None)
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    """uvicorn's server; it tells when it listens, and leaves at once when told."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready
        self.leaving = asyncio.Event()

    async def main_loop(self) -> None:
        """Wait for the end; uvicorn itself looks ten times a second."""
        await self.on_tick(0)
        await self.leaving.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._ready.set()


class Server:
    """A world on a port, with a thread and a loop of its own."""

    def __init__(
        self,
        config: SimulatorConfig | None = None,
        *,
        world: World | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config = config or SimulatorConfig()
        self.world: World = world if world is not None else Live(self.config)
        self.hub = Hub(self.world.source, self.config.limits, now)
        self.world.attach(self.hub)
        self.control = Control(self.hub, self.world.state, self.world.orders, self.world.play)
        self._app = App(self.hub, self.world.info, self.control, now)
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._uvicorn: _Server | None = None
        self._port = self.config.port

    # -- life -----------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen; returns when requests are answered. Raises OSError if the port is taken.

        A server that was stopped starts again on the same port, with the same market.
        """
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self.config.host, self._port))
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
        self.call(lambda: self.hub.set_faults(Faults()))
        self.call(self._uvicorn.leaving.set)
        self._thread.join(5)
        self._thread = None
        self._ready.clear()

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
            date_header=False,
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
        self._uvicorn.leaving.set()
        await serving
        # uvicorn waits for those who do not read what was written to them, and then forgets them.
        for connection in self._uvicorn.server_state.connections:
            connection.transport.abort()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            self.hub.tick()

    def call(self, function: Callable[[], T]) -> T:
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
