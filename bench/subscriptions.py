"""The classic design: one Redis subscription for each browser (raw ASGI, as lean as it gets)."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import redis.asyncio

CHANNEL = "bench:events"
POOL = redis.asyncio.ConnectionPool.from_url(os.environ["REDIS_URL"], max_connections=100_000)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Accept a WebSocket and pass on what its own subscription says."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    client = redis.asyncio.Redis(connection_pool=POOL)
    async with client.pubsub() as subscription:
        await subscription.subscribe(CHANNEL)
        forwarding = asyncio.create_task(_forward(subscription, send))
        while (await receive())["type"] != "websocket.disconnect":
            pass
        forwarding.cancel()


async def _forward(subscription: Any, send: Any) -> None:
    async for message in subscription.listen():
        if message["type"] == "message":
            await send({"type": "websocket.send", "text": message["data"].decode()})
