"""The leases of a pass: short, so that nobody waits long for a dead worker, and kept meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Sequence
from datetime import timedelta

from asgiref.sync import sync_to_async
from django.db import InterfaceError, OperationalError, transaction
from django.db.models.functions import Now

from traders.claims import Claim
from traders.models import Trader

#: So long after its worker's death a trader may be claimed again.
LEASE_SECONDS = 10.0
#: Kept so often: a busy machine may be late four times.
RENEW_SECONDS = 2.0


async def keep(claimed: Sequence[Claim]) -> None:
    """Renew the leases of these claims, which may become more, until cancelled.

    What the database refuses is tried again in the next turn.
    """
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        with contextlib.suppress(OperationalError, InterfaceError):
            await sync_to_async(renew)(list(claimed))


def renew(claimed: Collection[Claim]) -> None:
    """Let those that still are held last anew; a row that another writes has the next turn."""
    held = Trader.objects.filter(
        pk__in=[claim.trader_id for claim in claimed],
        lease_token__in={claim.token for claim in claimed},
    )
    with transaction.atomic():
        free = held.order_by("pk").select_for_update(skip_locked=True, no_key=True)
        ids = list(free.values_list("pk", flat=True))
        held.filter(pk__in=ids).update(lease_until=Now() + timedelta(seconds=LEASE_SECONDS))
