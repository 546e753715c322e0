"""Clients of the live updates that resume, behind a proxy that cuts connections at random bytes."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection, connect

LOST = (OSError, EOFError, websockets.WebSocketException)


class Proxy:
    """Passes TCP on, and cuts each connection after some bytes or seconds unless calm."""

    def __init__(self, port: int, numbers: random.Random) -> None:
        """Stand before a port."""
        self.calm = False
        self.cuts = 0
        self.port = 0
        self._behind = port
        self._numbers = numbers

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more."""
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with ExitStack() as ending:
            ending.callback(writer.transport.abort)
            try:
                behind, ahead = await asyncio.open_connection("127.0.0.1", self._behind)
            except OSError:
                return
            ending.callback(ahead.transport.abort)
            most = (self._numbers.randrange(1, 5_000), self._numbers.randrange(1, 40_000))
            ways = [
                asyncio.ensure_future(self._pass(reader, ahead, most[0])),
                asyncio.ensure_future(self._pass(behind, writer, most[1])),
            ]
            seconds = self._numbers.uniform(0.1, 8)
            try:
                ended: set[asyncio.Future[None]] = set()
                while not ended:
                    ended, _ = await asyncio.wait(
                        ways, timeout=seconds, return_when="FIRST_COMPLETED"
                    )
                    if not self.calm:
                        break
                self.cuts += not self.calm
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if not self.calm:
                    data = data[:most]
                    most -= len(data)
                writer.write(data)
                await writer.drain()
                if most <= 0 and not self.calm:
                    return


class Client:
    """Keeps every event it gets, resumes after each cut, and notes when it had to begin anew."""

    def __init__(self, proxy: Proxy, subscribe: dict[str, Any] | None, seed: int) -> None:
        """`subscribe` is the filter's message, None for one that resumes by its URL."""
        self.ids: list[int] = []
        self.begin: int | None = None
        self.resets: list[str] = []
        self.connections = 0
        self._proxy = proxy
        self._subscribe = subscribe
        self._numbers = random.Random(seed)
        self._epoch = ""
        self._after = 0
        self._hears = True

    async def run(self) -> None:
        """Connect for ever."""
        while True:
            with suppress(*LOST):
                async with connect(
                    self._url(), proxy=None, compression=None, open_timeout=10, close_timeout=0.1
                ) as socket:
                    self.connections += 1
                    async for text in socket:
                        await self._take(json.loads(text), socket)
            await asyncio.sleep(self._numbers.uniform(0, 0.05))

    def _url(self) -> str:
        url = f"ws://127.0.0.1:{self._proxy.port}/ws/v1/updates"
        if self._subscribe is not None or not self._epoch:
            return url
        return f"{url}?epoch={self._epoch}&after={self._after}"

    async def _take(self, frame: dict[str, Any], socket: ClientConnection) -> None:
        kind = frame["type"]
        if kind == "connection":
            await self._connected(frame, socket)
        elif kind in {"resumed", "reset"}:
            self._hears = True
            if kind == "reset":
                self.resets.append(frame["reason"])
                self._after = frame["head"]
        elif not self._hears:
            pass
        elif kind == "trade_event":
            self._keep(frame["data"])
        elif kind == "trade_events":
            for data in frame["data"]:
                self._keep(data)
        elif kind == "heartbeat":
            self._after = max(self._after, frame["upto"])

    async def _connected(self, frame: dict[str, Any], socket: ClientConnection) -> None:
        if self.begin is None:
            self.begin = self._after = frame["head"]
            self._epoch = frame["epoch"]
        if self._subscribe is not None:
            self._hears = False
            await socket.send(json.dumps(self._subscribe))
            resume = {"type": "resume", "epoch": self._epoch, "after": self._after}
            await socket.send(json.dumps(resume))

    def _keep(self, data: dict[str, Any]) -> None:
        self.ids.append(data["id"])
        self._after = data["id"]


class Background:
    """An event loop in a thread of its own, for clients beside a test that is not async."""

    def __init__(self) -> None:
        """Start the loop."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run something to its end there."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def spawn(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Begin something there."""
        asyncio.run_coroutine_threadsafe(work(), self._loop)

    def stop(self) -> None:
        """Cancel everything and end the thread."""

        async def cancel_all() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for _ in range(10):  # transports close in the turns that follow
                await asyncio.sleep(0)

        self.run(cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
