"""When the exchange was last asked about a position: since then the feed alone has told."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Max

from bench.soak_node import REACHES_BACK_MS
from traders.knowledge import dex_of
from traders.models import AccountSnapshot, Ledger


def looked_ms(ledger: Ledger, coin: str, floor_ms: int, files_ms: Iterable[int]) -> int:
    """Return the exchange time up to which a snapshot, or a node's fill, has told the coin's size.

    That is its floor, but where the fills that waited for a base were counted: the floor is that of
    the newest one, and the snapshot is older. `files_ms`: when a node's files were written, whose
    fills tell what they claim.
    """
    may_be_nodes = any(at - REACHES_BACK_MS <= floor_ms <= at for at in files_ms)
    if ledger.bases.get(coin) != floor_ms or may_be_nodes:
        return floor_ms
    snapshots = AccountSnapshot.objects.filter(
        trader=ledger.pk, dex=dex_of(coin), applied=True, state_time_ms__lte=floor_ms
    )
    newest_ms: int | None = snapshots.aggregate(newest=Max("state_time_ms"))["newest"]
    return newest_ms or floor_ms
