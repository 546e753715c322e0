"""Holds every position that is shown as known and fresh against the simulator's truth."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from django.db import connection, transaction

from simulator import Simulator
from traders import coverage
from traders.knowledge import dex_of, floor_ms, standing_of
from traders.models import FeedCursor, Ledger, Position, WaitingFill


def standings(sim: Simulator, dexes: tuple[str, ...] = ("",)) -> Counter[str]:
    """Compare all positions as of their own times; return how many are fresh, stale, unknown.

    Every coin of every trader is looked at, those that nobody holds too. Raises AssertionError
    where a number that is shown as fresh is wrong.
    """
    found: Counter[str] = Counter()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        feeds = coverage.coin_feeds(FeedCursor.objects.all())
        ledgers = list(Ledger.objects.select_related("trader"))
        held = {(row.trader_id, row.coin): row.size for row in Position.objects.all()}
        waiting = set(WaitingFill.objects.values_list("trader_id", "coin"))
    for ledger in ledgers:
        for coin, feed in feeds.items():
            if dex_of(coin) not in dexes:
                continue
            floor = floor_ms(ledger.floors, ledger.bases, ledger.doubts, coin)
            is_waiting = floor is None or (ledger.pk, coin) in waiting
            standing = standing_of(
                None if is_waiting else floor, feed, is_doubted=coin in ledger.doubts
            )
            kind = "unknown" if not standing.known else "stale" if standing.stale else "fresh"
            found[kind] += 1
            if kind == "fresh":
                _compare(
                    sim, ledger, coin, held.get((ledger.pk, coin), Decimal(0)), standing.as_of_ms
                )
    return found


def _compare(
    sim: Simulator, ledger: Ledger, coin: str, size: Decimal, as_of_ms: int | None
) -> None:
    truth = sim.truth(ledger.trader.address, dex_of(coin), at_ms=as_of_ms)
    told = truth.positions.get(coin, Decimal(0))
    assert size == told, f"{ledger.trader.address} {coin}: {size} shown, {told} true at {as_of_ms}"
