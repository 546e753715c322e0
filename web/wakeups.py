"""What Redis tells a web process: that the log has grown (losing it costs a second), and notices.

Both come over one connection for the process. A consumer with a Channels layer of its own would
subscribe for each socket, refuse sockets while Redis is away, and never see it fall silent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import redis.asyncio
from channels.layers import get_channel_layer
from django.conf import settings

from hlcopy.broadcast import EVENTS_CHANNEL, NOTICES_CHANNEL
from hlcopy.clock import utc_now
from web import push

logger = logging.getLogger(__name__)
LISTEN_SECONDS = 2.0
SILENT_TURNS = 3  # 6 s without as much as the answer to a ping
RETRY_SECONDS = 1.0


async def wakeups(wake: asyncio.Event, tell: Callable[[str], None]) -> None:
    """Set `wake` when the log has grown and `tell` the frame of each notice, for ever.

    redis-py does not see a half-open connection (redis-py#2417): we ping and count the silence.
    """
    away = False
    while True:
        client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, socket_keepalive=True, socket_connect_timeout=2
        )
        try:
            async with client.pubsub() as subscription:
                await subscription.subscribe(EVENTS_CHANNEL, NOTICES_CHANNEL)
                logger.info("wakeups state=subscribed")
                away = False
                wake.set()  # whatever was said while nobody listened
                await _listen(subscription, wake, tell)
        except (redis.RedisError, OSError) as failure:
            if not away:
                logger.warning("wakeups state=waiting reason=%s", type(failure).__name__)
            away = True
            await asyncio.sleep(RETRY_SECONDS)
        finally:
            await client.aclose()


async def _listen(
    subscription: redis.asyncio.client.PubSub, wake: asyncio.Event, tell: Callable[[str], None]
) -> None:
    """Pass on messages until the connection fails or falls silent; raises OSError then."""
    silent = 0
    while silent < SILENT_TURNS:
        message = await subscription.get_message(timeout=LISTEN_SECONDS)
        if message is None:
            silent += 1
            await subscription.ping()
            continue
        silent = 0
        if message["type"] != "message":
            continue
        if message["channel"] == EVENTS_CHANNEL.encode():
            wake.set()
        elif frame := notice(message["data"]):
            tell(frame)
    raise OSError("no answer to a ping")


def notice(packed: bytes) -> str | None:
    """Return the frame of a message to the group of notices, None for what is no such message."""
    try:
        content = get_channel_layer().deserialize(packed)
        match content:
            case {"type": "leaderboard_updated", "preset": str(preset), "updated_at": str(at)}:
                return push.leaderboard_updated(preset, at, utc_now())
            case {"type": "notice", "message": str(message)}:
                return push.notice(message, utc_now())
    except ValueError:
        content = packed[:100]
    logger.warning("wakeups ignored=%r", content)
    return None
