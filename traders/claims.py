"""Who is tracked next: the rotation, claimed under a lease in short transactions of their own.

1. Due are the traders whose own time has come (`retry_at`: another try, or healing), at most half
   of a batch while others wait, and then the rotation: those never tracked, then the most overdue,
   each a quarter at least while both wait. Leased ones are passed over, and nobody comes twice in
   one pass.
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
from typing import Any

from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now

from traders.models import Healing, Trader

SUSPECT_AFTER = 2
QUARANTINE_AFTER = 3
FIRST_RETRY_SECONDS = 30
LONGEST_RETRY_SECONDS = 3600
#: A snapshot that needs another one is followed by it so much later.
SECOND_LOOK_SECONDS = 5
ERROR_LENGTH = 200


# One statement: in the ORM the client alone took half of the promised 5 ms. Whom another worker is
# claiming is passed over. Both LIMITs are constants, else the planner would not trust the indexes.
# Up to the first suspect, or a suspect alone; with a poisoned one among them nobody is leased.
LEASE_NEXT = """
WITH retries AS (
    SELECT id, address, dexes, failures, unfinished_claims AS deaths FROM traders_trader
    WHERE quarantined_at IS NULL AND retry_at <= %(before)s
        AND (lease_until IS NULL OR lease_until < statement_timestamp())
    ORDER BY retry_at, id LIMIT %(size)s FOR NO KEY UPDATE SKIP LOCKED
), never AS (
    SELECT id, address, dexes, failures, unfinished_claims AS deaths FROM traders_trader
    WHERE quarantined_at IS NULL AND retry_at IS NULL AND last_tracked_at IS NULL
        AND %(rotates)s AND (lease_until IS NULL OR lease_until < statement_timestamp())
    ORDER BY last_tracked_at NULLS FIRST, id LIMIT %(size)s FOR NO KEY UPDATE SKIP LOCKED
), overdue AS (
    SELECT id, address, dexes, failures, unfinished_claims AS deaths FROM traders_trader
    WHERE quarantined_at IS NULL AND retry_at IS NULL AND last_tracked_at < %(before)s
        AND %(rotates)s AND (lease_until IS NULL OR lease_until < statement_timestamp())
    ORDER BY last_tracked_at NULLS FIRST, id LIMIT %(size)s FOR NO KEY UPDATE SKIP LOCKED
), due AS (
    SELECT * FROM retries
    LIMIT greatest(
        %(most_retries)s,
        %(size)s - (SELECT count(*) FROM never) - (SELECT count(*) FROM overdue)
    )
), news AS (
    SELECT * FROM never
    LIMIT greatest(
        %(quarter)s,
        %(size)s - (SELECT count(*) FROM due)
            - least(%(quarter)s, (SELECT count(*) FROM overdue))
    )
), waiting AS (
    SELECT row_number() OVER () AS place, turn.* FROM (
        SELECT * FROM due UNION ALL SELECT * FROM news UNION ALL SELECT * FROM overdue
        LIMIT %(size)s
    ) AS turn
), limits AS (
    SELECT min(place) FILTER (WHERE deaths >= %(suspect_after)s) AS suspect,
        max(deaths) >= %(quarantine_after)s AS poisoned
    FROM waiting
), leased AS (
    UPDATE traders_trader AS trader
    SET lease_token = %(token)s, lease_until = statement_timestamp() + %(lease)s,
        unfinished_claims = deaths + 1
    FROM waiting, limits
    WHERE trader.id = waiting.id AND NOT poisoned
        AND (suspect IS NULL OR place < suspect OR place = 1 AND %(alone)s)
    RETURNING trader.id
)
SELECT waiting.id, address, dexes, failures, deaths, leased.id IS NOT NULL
FROM waiting LEFT JOIN leased USING (id) ORDER BY place
"""


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


def is_anybody_due(before: datetime) -> bool:
    """Return whether some trader's own time had come by then (`retry_at`), leased or not."""
    return Trader.objects.filter(quarantined_at=None, retry_at__lte=before).exists()


def claim(
    size: int, *, lease_seconds: float, before: datetime, alone: bool, rotates: bool = True
) -> Batch:
    """Lease the next `size` traders that were not tracked since `before`, the pass's start.

    Without `rotates` only those are, whose own time has come.

    `alone`: the caller has nothing in flight, so the claim may be a suspect, which then is all.
    """
    while True:
        token = uuid.uuid4()
        waiting = _lease_next(
            size=size,
            most_retries=-(-size // 2),
            quarter=-(-size // 4),
            rotates=rotates,
            before=before,
            lease=timedelta(seconds=lease_seconds),
            token=token,
            alone=alone,
            suspect_after=SUSPECT_AFTER,
            quarantine_after=QUARANTINE_AFTER,
        )
        poison = [row.id for row in waiting if row.deaths >= QUARANTINE_AFTER]
        if not poison:
            break
        _quarantine(poison)
    leased = [row for row in waiting if row.leased]
    takes_suspect = any(row.deaths >= SUSPECT_AFTER for row in leased)
    return Batch(
        tuple(Claim(token, row.id, row.address, tuple(row.dexes), row.failures) for row in leased),
        alone=takes_suspect,
        suspect_waits=len(leased) < len(waiting) and not takes_suspect,
    )


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A trader whose turn it is; `deaths`: how many claims of it in a row came to no end."""

    id: int
    address: str
    dexes: list[str]
    failures: int
    deaths: int
    leased: bool


def _lease_next(**parameters: Any) -> list[_Waiting]:
    """Run the claim and return whose turn it was, in turn."""
    with connection.cursor() as cursor:
        cursor.execute(LEASE_NEXT, parameters)
        return [_Waiting(*row) for row in cursor.fetchall()]


def _quarantine(trader_ids: Collection[int]) -> None:
    """Take traders out of the rotation: their worker died each time, and they were alone."""
    with transaction.atomic():
        locked(Trader.objects.filter(pk__in=trader_ids)).update(
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
        healing="",
        last_error="",
    )


def healing_of(claim: Claim) -> Healing | None:
    """Return why the trader stands in the healing queue, None where it does not."""
    why = Trader.objects.values_list("healing", flat=True).get(pk=claim.trader_id)
    return Healing(why) if why else None


def look_again(trader_id: int, why: Healing, *, seconds: float = SECOND_LOOK_SECONDS) -> None:
    """Make a trader, whose row the caller has just finished, due for a second look."""
    again = Now() + timedelta(seconds=seconds)
    Trader.objects.filter(pk=trader_id).update(retry_at=again, healing=why)


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
        leased = Trader.objects.filter(
            pk__in=[claim.trader_id for claim in claims if claim.token == token], lease_token=token
        )
        with transaction.atomic():
            locked(leased).update(
                lease_token=None, lease_until=None, unfinished_claims=F("unfinished_claims") - 1
            )


def locked(traders: QuerySet[Trader]) -> QuerySet[Trader]:
    """Lock these rows inside a transaction, in the order of all writers, and return them."""
    rows = traders.order_by("address").select_for_update(no_key=True)
    return Trader.objects.filter(pk__in=list(rows.values_list("pk", flat=True)))


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
