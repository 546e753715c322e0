"""Who is tracked next: the rotation, claimed under a lease in short transactions of their own.

1. Due are the traders whose own time has come (`retry_at`: another try, or a second look), at most
   half of a batch while others wait, and then the rotation: never tracked first, then the most
   overdue. Leased ones are passed over, and nobody comes twice in one pass.
2. A claim that comes to no end, because its worker died, leaves its lease to expire and its count.
   One such death says little: the batch had others. After the second a trader is a suspect and is
   claimed alone, with nothing else in flight; after the third it is quarantined.

Times are PostgreSQL's alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from traders.models import Trader

SUSPECT_AFTER = 2
QUARANTINE_AFTER = 3
FIRST_RETRY_SECONDS = 30
LONGEST_RETRY_SECONDS = 3600
#: An account that suddenly looks empty is looked at again so much later.
SECOND_LOOK_SECONDS = 5
ERROR_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Claim:
    """One trader, leased to whoever holds the token."""

    token: uuid.UUID
    trader_id: int
    address: str
    dexes: tuple[str, ...]
    failures: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The claims; `alone`: a suspect's; `suspect_waits`: the next in turn must be claimed alone."""

    claims: tuple[Claim, ...]
    alone: bool = False
    suspect_waits: bool = False


def claim(size: int, *, lease_seconds: float, before: datetime, alone: bool) -> Batch:
    """Lease the next `size` traders that were not tracked since `before`, the pass's start.

    `alone`: the caller has nothing in flight, so the claim may be a suspect, which then is all.
    """
    with transaction.atomic():
        while True:
            traders = _next(size, before)
            poison = [trader.pk for trader in traders if _deaths(trader) >= QUARANTINE_AFTER]
            if not poison:
                break
            _quarantine(poison)
        chosen = list(takewhile(lambda trader: _deaths(trader) < SUSPECT_AFTER, traders))
        suspect = len(chosen) < len(traders)
        takes_suspect = suspect and alone and not chosen
        if takes_suspect:
            chosen = traders[:1]
        token = uuid.uuid4()
        Trader.objects.filter(pk__in=[trader.pk for trader in chosen]).update(
            lease_token=token,
            lease_until=Now() + timedelta(seconds=lease_seconds),
            unfinished_claims=F("unfinished_claims") + 1,
        )
    return Batch(
        tuple(
            Claim(token, trader.pk, trader.address, tuple(trader.dexes), trader.failures)
            for trader in chosen
        ),
        alone=takes_suspect,
        suspect_waits=suspect and not takes_suspect,
    )


def _deaths(trader: Trader) -> int:
    """How many claims of the trader in a row came to no end; its lease, if any, is over."""
    return trader.unfinished_claims


def _next(size: int, before: datetime) -> list[Trader]:
    """Lock the next traders in turn; whom another worker is claiming is passed over."""
    free = (
        Trader.objects.filter(Q(lease_until__isnull=True) | Q(lease_until__lt=Now()))
        .filter(quarantined_at__isnull=True)
        .select_for_update(skip_locked=True, no_key=True)
        .only("id", "address", "dexes", "failures", "unfinished_claims")
    )
    retries: QuerySet[Trader] = free.filter(retry_at__lte=before).order_by("retry_at", "id")
    rotation: QuerySet[Trader] = (
        free.filter(retry_at__isnull=True)
        .filter(Q(last_tracked_at__isnull=True) | Q(last_tracked_at__lt=before))
        .order_by(F("last_tracked_at").asc(nulls_first=True), "id")
    )
    due = list(retries[:size])
    others = list(rotation[: size - min(len(due), -(-size // 2))])
    return due[: size - len(others)] + others


def _quarantine(trader_ids: Collection[int]) -> None:
    """Take traders out of the rotation: their worker died each time, and they were alone."""
    Trader.objects.filter(pk__in=trader_ids).update(
        quarantined_at=Now(),
        lease_token=None,
        lease_until=None,
        last_error=f"the worker died in {QUARANTINE_AFTER} claims in a row",
    )


def finish(claim: Claim) -> bool:
    """Send the trader to the back of the rotation; False if the lease was lost to another."""
    return _end(
        claim,
        last_tracked_at=Now(),
        unfinished_claims=0,
        failures=0,
        retry_at=None,
        last_error="",
    )


def look_again(trader_id: int) -> None:
    """Make a trader, whose row the caller has just finished, due for a second look."""
    again = Now() + timedelta(seconds=SECOND_LOOK_SECONDS)
    Trader.objects.filter(pk=trader_id).update(retry_at=again)


def fail(claim: Claim, error: str) -> bool:
    """Count the trader's failure and let it back off; its place in the rotation waits for it."""
    return _end(
        claim,
        unfinished_claims=0,
        failures=claim.failures + 1,
        retry_at=Now() + timedelta(seconds=retry_seconds(claim.failures + 1)),
        last_error=error[:ERROR_LENGTH],
    )


def release(claims: Collection[Claim]) -> None:
    """Give the leases back as if they had never been taken: nobody's fault, nothing was done."""
    for token in {claim.token for claim in claims}:
        Trader.objects.filter(
            pk__in=[claim.trader_id for claim in claims if claim.token == token], lease_token=token
        ).update(lease_token=None, lease_until=None, unfinished_claims=F("unfinished_claims") - 1)


def retry_seconds(failures: int) -> int:
    """Return how long a trader backs off after so many failures in a row."""
    doublings = min(failures - 1, 16)
    return min(FIRST_RETRY_SECONDS << doublings, LONGEST_RETRY_SECONDS)


def _end(claim: Claim, **changes: object) -> bool:
    """End the lease with these changes, if it still is ours."""
    return bool(
        Trader.objects.filter(pk=claim.trader_id, lease_token=claim.token).update(
            lease_token=None, lease_until=None, **changes
        )
    )
