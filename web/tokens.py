"""Tokens: made, found again by their digest, revoked.

A plain SHA-256 is enough: a token has 256 random bits, so nobody guesses one from its digest.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import timedelta

from django.db import transaction
from django.db.models import Q

from hlcopy.clock import utc_now
from web.models import ApiToken

PREFIX = "hlcopy_"  # lets scanners of published code recognise one that got lost
HEADER = re.compile(r"bearer +(\S.*)", re.ASCII | re.IGNORECASE)
USE_IS_WRITTEN_EVERY = timedelta(minutes=1)


def create(name: str) -> str:
    """Return a new token, which nobody can read again; the living one of that name is revoked."""
    token = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        revoke(name)
        ApiToken.objects.create(name=name, sha256=digest(token), created_at=utc_now())
    return token


def revoke(name: str) -> int:
    """Revoke the living token of that name; return how many there were, 0 or 1."""
    return ApiToken.objects.filter(name=name, revoked_at__isnull=True).update(revoked_at=utc_now())


def find(token: str) -> ApiToken | None:
    """Return the living token that this text is, and note its use; None if there is none.

    The look-up compares digests, whose time tells nothing of the token.
    """
    wanted = digest(token)
    found = ApiToken.objects.filter(sha256=wanted, revoked_at__isnull=True).first()
    if found is None or not hmac.compare_digest(found.sha256, wanted):
        return None
    now = utc_now()
    long_ago = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - USE_IS_WRITTEN_EVERY)
    if found.last_used_at is None or found.last_used_at < now - USE_IS_WRITTEN_EVERY:
        ApiToken.objects.filter(long_ago, pk=found.pk).update(last_used_at=now)
    return found


def shown(header: str) -> str | None:
    """Return the token of an `Authorization` header; None if it speaks of something else."""
    match = HEADER.fullmatch(header.strip())
    return match[1] if match else None


def digest(token: str) -> str:
    """Return what is kept of a token, whatever text that may be."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
