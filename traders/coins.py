"""The list of coins: what the exchange lists on each configured dex, kept in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from exchange.replies import CoinMeta
from traders.models import Coin

REFRESH_AFTER = timedelta(minutes=10)


def configured_dexes(wishes: Iterable[str]) -> tuple[str, ...]:
    """Return the dexes of the setting's coins (`xyz:TSLA`, `xyz:*`): the main one, "", first."""
    return tuple(sorted({""} | {wish.partition(":")[0] for wish in wishes if ":" in wish}))


def due_dexes(dexes: Iterable[str]) -> list[str]:
    """Return the dexes whose list is older than ten minutes, or missing."""
    fresh = set(
        Coin.objects.values("dex")
        .annotate(newest=Max("updated_at"))
        .filter(newest__gt=Now() - REFRESH_AFTER)
        .values_list("dex", flat=True)
    )
    return [dex for dex in dexes if dex not in fresh]


def size_decimals() -> dict[str, int]:
    """Return every coin's szDecimals, the delisted ones' included."""
    return dict(Coin.objects.values_list("name", "size_decimals"))


def store(dex: str, listed: Collection[CoinMeta]) -> None:
    """Write a dex's list; a coin that is no longer in it is delisted, never removed."""
    if not listed:
        return
    with transaction.atomic():
        Coin.objects.filter(dex=dex).exclude(name__in=[coin.name for coin in listed]).update(
            is_delisted=True, updated_at=Now()
        )
        Coin.objects.bulk_create(
            [
                Coin(
                    name=coin.name,
                    dex=dex,
                    size_decimals=coin.size_decimals,
                    max_leverage=coin.max_leverage,
                    is_delisted=coin.is_delisted,
                    updated_at=Now(),
                )
                for coin in sorted(listed, key=lambda coin: coin.name)
            ],
            update_conflicts=True,
            unique_fields=["name"],
            update_fields=["dex", "size_decimals", "max_leverage", "is_delisted", "updated_at"],
        )
