"""The wake-up that follows a commit: it says that there is something new, never what."""

from __future__ import annotations

import logging

import redis
from django.conf import settings

logger = logging.getLogger(__name__)
EVENTS_CHANNEL = "hlcopy:events"
_client: redis.Redis | None = None


def wake(head: int) -> bool:
    """Tell every web process that the event log has reached `head`.

    Losing it costs latency only (each hub looks at the log every second), so a dead Redis is
    logged and reported as False, never raised.
    """
    global _client  # noqa: PLW0603 (one connection for the process, opened when first needed)
    if _client is None:
        _client = redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1, socket_keepalive=True
        )
    try:
        _client.publish(EVENTS_CHANNEL, str(head))
    except redis.RedisError as failure:
        logger.warning("wake-up not sent head=%d reason=%s", head, type(failure).__name__)
        return False
    return True
