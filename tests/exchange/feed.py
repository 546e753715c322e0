"""A small real WebSocket server that plays the exchange's part as a test tells it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve

from exchange.liveness import Patience
from exchange.stream import Received, Stream
from exchange.subscriptions import Pace, Subscription
from tests.exchange.frames import trade, trades

Handler = Callable[[ServerConnection], Awaitable[None]]

BTC = Subscription("trades", coin="BTC")
ETH = Subscription("trades", coin="ETH")

#: Shortened, so that a test of silence takes a fraction of a second.
SHORT = Patience(ping_after=0.05, reconnect_after=0.2, coin_after=0.3, healthy_after=0.05)


@contextlib.asynccontextmanager
async def exchange(handler: Handler, **options: Any) -> AsyncIterator[str]:
    """The URL of a server that handles each connection with ``handler``."""
    server: Server
    async with serve(handler, "127.0.0.1", 0, compression=None, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/ws"


def stream(url: str, *wanted: Subscription, patience: Patience | None = None, **options) -> Stream:
    """A stream that reconnects at once and paces nothing."""
    return Stream(
        url,
        wanted=wanted or [BTC],
        patience=patience,
        pace=Pace(spacing_seconds=0),
        delays=options.pop("delays", lambda: iter(lambda: 0.0, None)),
        **options,
    )


async def obey(connection: ServerConnection) -> None:
    """Acknowledge everything, replay one trade per subscription, answer pings."""
    async for raw in connection:
        for frame in answers(json.loads(raw)):
            await connection.send(frame)


def answers(message: dict[str, Any]) -> list[str]:
    """What the exchange says to one message of ours."""
    if message["method"] == "ping":
        return ['{"channel":"pong"}']
    said = [json.dumps({"channel": "subscriptionResponse", "data": message})]
    subscription = message["subscription"]
    if message["method"] == "subscribe" and subscription["type"] == "trades":
        said.append(trades(trade(coin=subscription["coin"], tid=1)).decode())
    return said


async def until(condition: Callable[[], object], seconds: float = 5) -> None:
    """Wait for a condition, looking every millisecond."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (conditions are plain, without events)
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def reading(stream: Stream) -> AsyncIterator[list[Received]]:
    """Everything that ``stream`` yields while the block runs."""
    got: list[Received] = []

    async def read() -> None:
        async with stream:
            async for received in stream:
                got.append(received)  # noqa: PERF401 (a comprehension would keep what it got)

    task = asyncio.create_task(read())
    try:
        yield got
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


def frames_of(got: list[Received], kind: type) -> list[Any]:
    """Those of the received frames that are of a kind."""
    return [received for received in got if isinstance(received.frame, kind)]
