"""Whether a request comes from a page of our own."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

DEFAULT_PORTS = {"http": "80", "https": "443"}


def same_origin(origin: str | None, host: str) -> bool:
    """Return whether a request may go on: no Origin (not a browser), or that of our own pages.

    The Host must be one of ours too, or a name rebound to this address would be its own origin.
    Channels' validator refuses clients without Origin and ignores the port.
    """
    if not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        return False
    if origin is None:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    default = DEFAULT_PORTS.get(parts.scheme)
    if default is None or not parts.netloc:
        return False
    return parts.netloc.lower().removesuffix(f":{default}") == host.lower().removesuffix(
        f":{default}"
    )
