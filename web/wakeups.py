"""Redis says that the log has grown; losing it costs a second, never an event."""

from __future__ import annotations

import asyncio
import logging

import redis.asyncio
from django.conf import settings

from hlcopy.broadcast import EVENTS_CHANNEL

logger = logging.getLogger(__name__)
LISTEN_SECONDS = 2.0
SILENT_TURNS = 3  # 6 s without as much as the answer to a ping
RETRY_SECONDS = 1.0


async def wakeups(wake: asyncio.Event) -> None:
    """Set `wake` at every message of the channel, for ever, over as many connections as it takes.

    redis-py does not see a half-open connection (redis-py#2417): we ping and count the silence.
    """
    away = False
    while True:
        client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, socket_keepalive=True, socket_connect_timeout=2
        )
        try:
            async with client.pubsub() as subscription:
                await subscription.subscribe(EVENTS_CHANNEL)
                logger.info("wakeups state=subscribed")
                away = False
                wake.set()  # whatever was said while nobody listened
                await _listen(subscription, wake)
        except (redis.RedisError, OSError) as failure:
            if not away:
                logger.warning("wakeups state=waiting reason=%s", type(failure).__name__)
            away = True
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            await client.aclose()


async def _listen(subscription: redis.asyncio.client.PubSub, wake: asyncio.Event) -> None:
    """Pass on messages until the connection fails or falls silent; raises OSError then."""
    silent = 0
    while silent < SILENT_TURNS:
        message = await subscription.get_message(timeout=LISTEN_SECONDS)
        if message is None:
            silent += 1
            await subscription.ping()
            continue
        silent = 0
        if message["type"] == "message":
            wake.set()
    raise OSError("no answer to a ping")
