"""What is told to every web process: that the log has grown, and rare notices for everyone."""

from __future__ import annotations

import logging

import redis
from channels.layers import get_channel_layer
from django.conf import settings

logger = logging.getLogger(__name__)
EVENTS_CHANNEL = "hlcopy:events"
#: The Channels group that every web process joins, to tell its browsers.
NOTICES_GROUP = "notices"
#: Where the group listens: `asgi` is the layer's own default prefix.
NOTICES_CHANNEL = f"asgi__group__{NOTICES_GROUP}"
_client: redis.Redis | None = None


def wake(head: int) -> bool:
    """Tell every web process that the event log has reached `head`.

    Losing it costs latency only (each hub looks at the log every second), so a dead Redis is
    logged and reported as False, never raised.
    """
    return _publish(EVENTS_CHANNEL, str(head))


def notify(kind: str, **content: str) -> bool:
    """Send a message of this type to the Channels group of notices; content is JSON's.

    Published by the plain client in the layer's own format: the layer called from a thread makes
    an event loop and leaves a connection each time (channels_redis#125, #332).
    """
    message = {"type": kind, **content}
    return _publish(NOTICES_CHANNEL, get_channel_layer().serialize(message))


def _publish(channel: str, message: str | bytes) -> bool:
    global _client  # noqa: PLW0603 (one connection for the process, opened when first needed)
    if _client is None:
        _client = redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1, socket_keepalive=True
        )
    try:
        _client.publish(channel, message)
    except redis.RedisError as failure:
        logger.warning("not published channel=%s reason=%s", channel, type(failure).__name__)
        return False
    return True
