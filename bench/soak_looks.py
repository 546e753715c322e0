"""When the exchange was last asked about a position, and who still waits to be looked at."""

from __future__ import annotations

from collections.abc import Container, Iterable

from django.db.models import Max

from traders.knowledge import dex_of
from traders.models import AccountSnapshot, FeedGap, Ledger, Trader


def looked_ms(ledger: Ledger, coin: str, floor_ms: int, told_by_nodes: Container[object]) -> int:
    """Return the exchange time up to which a snapshot, or a node's fill, has told the coin's size.

    That is its floor, but where the fills that waited for a base were counted: the floor is that of
    the newest one, and the snapshot is older. `told_by_nodes`: (address, coin, time) of what a
    node's files tell.
    """
    if ledger.bases.get(coin) != floor_ms:
        return floor_ms
    if (ledger.trader.address, coin, floor_ms) in told_by_nodes:
        return floor_ms
    snapshots = AccountSnapshot.objects.filter(
        trader=ledger.pk, dex=dex_of(coin), applied=True, state_time_ms__lte=floor_ms
    )
    newest_ms: int | None = snapshots.aggregate(newest=Max("state_time_ms"))["newest"]
    return newest_ms or floor_ms


def unhealed() -> Iterable[str]:
    """Return what still waits to be healed."""
    waiting = Trader.objects.exclude(healing="").count()
    gaps = FeedGap.objects.filter(queued_at=None).count()
    return [f"{waiting} traders", f"{gaps} gaps"] if waiting or gaps else []
