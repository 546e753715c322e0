"""How often one client may ask: one atomic counter in Redis for each address (decision 0015).

The address is that of the connection, or what the outermost of NUM_PROXIES trusted proxies saw:
whatever else a client writes into X-Forwarded-For is not looked at.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
from functools import cache
from typing import TYPE_CHECKING

import redis
from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

if TYPE_CHECKING:  # it imports this module by the settings' name
    from rest_framework.views import APIView

logger = logging.getLogger(__name__)
WINDOW_SECONDS = 60
READS = 600
LOGINS = 5
LOGINS_OF_ADDRESS = 30  # whatever names it tries
# One network of IPv6 is one client: each machine has 2**64 addresses of its own there.
IPV6_NETWORK = 64
# Returns the hits in this window and the milliseconds that it still lasts.
COUNT = """
local hits = redis.call('INCR', KEYS[1])
if hits == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {hits, redis.call('PTTL', KEYS[1])}
"""


class UncountedError(Exception):
    """Redis does not answer, so nobody knows how often the client has asked."""


def wait_seconds(name: str, limit: int, *who: str) -> int:
    """Count one attempt; return 0, or after how many seconds the next one is allowed.

    Raises UncountedError.
    """
    # Hashed: user names and addresses are nobody's business in a key, and may be of any length.
    digest = hashlib.sha256("\n".join(who).encode("utf-8", "surrogatepass")).hexdigest()
    try:
        answer = _client(settings.REDIS_URL).eval(
            COUNT, 1, f"hlcopy:{name}:{digest}", WINDOW_SECONDS * 1000
        )
    except redis.RedisError as failure:
        raise UncountedError(type(failure).__name__) from failure
    hits, milliseconds = answer
    return 0 if hits <= limit else max(1, -(-milliseconds // 1000))


def read_wait_seconds(address: str) -> int:
    """Count one anonymous read; return 0, or the seconds to wait: uncounted reads are let in."""
    if settings.CONFIGURATION.loopback:
        return 0
    try:
        return wait_seconds("reads", READS, address)
    except UncountedError as failure:
        logger.debug("limits state=open reason=%s", failure)
        return 0


def client_address(connected: str, forwarded: str = "") -> str:
    """Return the client's address, of IPv6 its network.

    `connected` is the other end of the connection, `forwarded` the X-Forwarded-For header, of which
    each trusted proxy has appended one address.
    """
    proxies = settings.CONFIGURATION.num_proxies
    if proxies and forwarded:
        hops = forwarded.split(",")
        connected = hops[-min(proxies, len(hops))].strip()
    try:
        address = ipaddress.ip_address(connected)
    except ValueError:
        return connected
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((address, IPV6_NETWORK), strict=False))
    return connected


def address_of(request: HttpRequest | Request) -> str:
    """Return the address of a request's client."""
    return client_address(
        request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", "")
    )


class AnonymousReads(BaseThrottle):
    """DRF's throttle of readers whom nobody knows; its own ones are racy (DRF#5181)."""

    def __init__(self) -> None:
        """Nothing to wait for yet."""
        self._seconds = 0

    def allow_request(self, request: Request, view: APIView) -> bool:
        """Count the request; False if it is one too many."""
        if not request.user.is_authenticated:
            self._seconds = read_wait_seconds(address_of(request))
        return not self._seconds

    def wait(self) -> float:
        """Return the seconds of Retry-After."""
        return self._seconds


@cache
def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, socket_timeout=1, socket_connect_timeout=1, socket_keepalive=True
    )
