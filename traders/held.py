"""Positions as readers meet them: whether each is known, whether it is stale, and as of when.

A fresh position is worth what the coin's newest trade says. A stale one has what its snapshot told,
as long as no fill has changed it since.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext

from django.db import connection, transaction
from django.db.models import QuerySet

from hlcopy.clock import from_ms
from traders.coverage import coin_feeds
from traders.episodes import EXACT, usd
from traders.knowledge import CoinFeed, Standing, complete_as_of_ms, floor_ms, standing_of
from traders.models import Coin, FeedCursor, Ledger, Position, Trader, WaitingFill

#: (trader, coin)
Pair = tuple[int, str]
# Null where one of them began before anybody looked.
FIRST_GAPS = """
SELECT wanted.coin, wanted.floor_ms,
       CASE WHEN bool_and(gap.from_ms IS NOT NULL) THEN min(gap.from_ms) END
  FROM unnest(%s::text[], %s::bigint[]) AS wanted (coin, floor_ms)
  JOIN traders_feedgap AS gap ON gap.coin = wanted.coin AND gap.to_ms >= wanted.floor_ms
 GROUP BY wanted.coin, wanted.floor_ms
"""


@dataclass(frozen=True, slots=True)
class HeldPosition:
    """What is known of one position; None is unknown, and all of it is where `known` is False.

    `as_of`: up to then it is certain; of a fresh one that is the newest block.
    """

    coin: str
    size: Decimal | None
    side: str | None
    entry_price: Decimal | None
    notional: Decimal | None
    unrealised_pnl: Decimal | None
    leverage: int | None
    known: bool
    stale: bool
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Account:
    """A trader's positions, largest first, and up to when nothing is missing among them."""

    positions: list[HeldPosition]
    complete_as_of: datetime | None


@contextmanager
def at_one_moment() -> Iterator[None]:
    """Let everything read inside be of one moment; inside another transaction it is that one's.

    Else a position could be read before a fill and the feed after it: an old size, called fresh.
    """
    is_inside = connection.in_atomic_block
    with transaction.atomic():
        if not is_inside:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def account_of(trader: Trader) -> Account:
    """Return what is known of a trader's positions; the number of queries does not depend on it."""
    with at_one_moment():
        ledger = Ledger.objects.filter(pk=trader.pk).first() or Ledger()
        rows = {row.coin: row for row in Position.objects.filter(trader=trader)}
        listed = Coin.objects.filter(dex__in=trader.dexes, is_delisted=False)
        waiting = WaitingFill.objects.filter(trader_id=trader.pk).values_list("coin", flat=True)
        shown = {*rows, *ledger.doubts, *waiting.distinct()}
        coins = shown | set(listed.values_list("name", flat=True))
        cursors = {cursor.coin: cursor for cursor in _cursors(coins)}
        feeds = coin_feeds(cursors.values())
        told = _standings({trader.pk: ledger}, [(trader.pk, coin) for coin in coins], feeds)
    by_coin = {coin: told[trader.pk, coin] for coin in coins}
    prices = {coin: cursor.last_price for coin, cursor in cursors.items()}
    held = [
        _held(coin, rows.get(coin), by_coin[coin], prices.get(coin))
        for coin in shown
        if coin in rows or not by_coin[coin].known
    ]
    whole_until = complete_as_of_ms(trader.dexes, ledger.floors, by_coin.values())
    return Account(
        positions=sorted(held, key=_largest_first),
        complete_as_of=None if whole_until is None else from_ms(whole_until),
    )


def standings(positions: Collection[Position]) -> dict[Pair, Standing]:
    """Return what is known of these positions, whoever holds them, in five queries at most."""
    pairs = [(row.trader_id, row.coin) for row in positions]
    ledgers = Ledger.objects.in_bulk({trader_id for trader_id, _ in pairs})
    feeds = coin_feeds(_cursors({coin for _, coin in pairs}))
    return _standings(ledgers, pairs, feeds)


def _cursors(coins: Collection[str]) -> QuerySet[FeedCursor]:
    return FeedCursor.objects.filter(coin__in=coins).defer("keys")


def _standings(
    ledgers: Mapping[int, Ledger], pairs: Iterable[Pair], feeds: Mapping[str, CoinFeed]
) -> dict[Pair, Standing]:
    nothing = Ledger()
    floors: dict[Pair, int | None] = {}
    spoiled = set()
    for trader_id, coin in pairs:
        ledger = ledgers.get(trader_id, nothing)
        floor = floor_ms(ledger.floors, ledger.bases, ledger.doubts, coin)
        floors[trader_id, coin] = floor
        gap_until_ms = feeds[coin].gap_until_ms if coin in feeds else None
        if floor is not None and gap_until_ms is not None and floor <= gap_until_ms:
            spoiled.add((coin, floor))
    gaps = _first_gaps(spoiled)
    return {
        (trader_id, coin): standing_of(
            floor,
            feeds.get(coin),
            is_doubted=coin in ledgers.get(trader_id, nothing).doubts,
            first_gap_ms=gaps.get((coin, floor)),
        )
        for (trader_id, coin), floor in floors.items()
    }


def _first_gaps(spoiled: Collection[tuple[str, int]]) -> dict[tuple[str, int | None], int | None]:
    """Return where the first gap begins that ends at or after the floor, for (coin, floor)."""
    if not spoiled:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(FIRST_GAPS, [list(column) for column in zip(*spoiled, strict=True)])
        return {(coin, floor): from_ms for coin, floor, from_ms in cursor.fetchall()}


def _held(
    coin: str, row: Position | None, told: Standing, last_price: Decimal | None
) -> HeldPosition:
    if row is None or not told.known or told.as_of_ms is None:
        nothing = dict.fromkeys(
            ("size", "side", "entry_price", "notional", "unrealised_pnl", "leverage", "as_of")
        )
        return HeldPosition(coin=coin, known=False, stale=True, **nothing)
    notional, unrealised_pnl = row.notional, row.unrealised_pnl
    if not told.stale and last_price is not None:
        with localcontext(EXACT):
            notional = usd(abs(row.size) * last_price)
            known = row.entry_price is not None
            unrealised_pnl = usd(row.size * (last_price - row.entry_price)) if known else None
    return HeldPosition(
        coin=coin,
        size=row.size,
        side="LONG" if row.size > 0 else "SHORT",
        entry_price=row.entry_price,
        notional=notional,
        unrealised_pnl=unrealised_pnl,
        leverage=row.leverage,
        known=True,
        stale=told.stale,
        as_of=from_ms(told.as_of_ms),
    )


def _largest_first(held: HeldPosition) -> tuple[bool, Decimal, str]:
    return held.notional is None, -(held.notional or Decimal(0)), held.coin
