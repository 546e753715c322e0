"""The rows that a batch of trades changes: locked and read in one statement each.

Locks are taken in the order of docs/architecture.md: cursors by coin, new traders by address,
ledger rows by trader. Whoever holds a trader's ledger row may change its positions, its days, its
waiting fills and its round trips, and nobody else may.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.db import connection

from traders import episodes, positions, sightings
from traders.arrays import array
from traders.cursors import Window
from traders.episodes import Episode
from traders.folding import Account, Holding

ADD_CURSORS = """
INSERT INTO traders_feedcursor (coin, keys, trades, late)
SELECT coin, ''::bytea, 0, 0 FROM unnest(%s::text[]) AS coin
WHERE NOT EXISTS (SELECT FROM traders_feedcursor AS known WHERE known.coin = coin.coin)
ORDER BY coin
ON CONFLICT (coin) DO NOTHING
"""
LOCK_CURSORS = """
SELECT coin, floor_ms, newest_ms, keys, gap_until_ms FROM traders_feedcursor
WHERE coin = ANY(%s::text[]) ORDER BY coin FOR NO KEY UPDATE
"""
TRADER_IDS = """
SELECT address, id, EXISTS (SELECT FROM traders_ledger WHERE trader_id = id) FROM traders_trader
WHERE address = ANY(%s::text[])
"""
ADD_LEDGERS = """
INSERT INTO traders_ledger (trader_id, floors, bases, doubts, emptied)
SELECT id, '{}', '{}', '{}', '{}' FROM unnest(%s::bigint[]) AS id ORDER BY id
ON CONFLICT (trader_id) DO NOTHING
"""
LOCK_LEDGERS = """
SELECT trader_id, floors, bases, doubts FROM traders_ledger
WHERE trader_id = ANY(%s::bigint[]) ORDER BY trader_id FOR NO KEY UPDATE
"""
HOLDINGS = """
SELECT held.trader_id, held.coin, size, entry_price, opened_at_ms, peak_size, realised_pnl, fees,
    funding_since_open
FROM unnest(%s::bigint[], %s::text[]) AS wanted (trader_id, coin)
JOIN traders_position AS held USING (trader_id, coin)
"""
#: About 200 bytes each: beyond that PostgreSQL is asked again.
MOST_REMEMBERED = 250_000


class KnownTraders:
    """The numbers of traders that this process has met lately; addresses in lower case."""

    def __init__(self) -> None:
        """Remember nobody."""
        self._ids: dict[str, int] = {}
        self._dexes: set[tuple[str, str]] = set()

    def forget(self) -> None:
        """Ask PostgreSQL anew: it may be an older one (a restore, a failover)."""
        self._ids.clear()
        self._dexes.clear()

    def learn(self, seen: Collection[tuple[str, str]], at: datetime) -> tuple[dict[str, int], int]:
        """Return the numbers of everybody in `seen`, (address, dex), and how many were new.

        Unknown addresses become traders first seen `at`, each with a ledger row.
        """
        if len(self._ids) > MOST_REMEMBERED or len(self._dexes) > MOST_REMEMBERED:
            self.forget()
        news = {
            (address, dex)
            for address, dex in seen
            if address not in self._ids or (dex and (address, dex) not in self._dexes)
        }
        added = 0
        if news:
            # Most are known to PostgreSQL, and to read is cheaper than to insert in vain.
            found = _read_ids({address for address, _ in news})
            added = sightings.record(
                {(address, dex) for address, dex in news if dex or address not in found}, at
            )
            found |= _read_ids({address for address, _ in news} - found.keys())
            _add_ledgers(trader_id for trader_id, has_ledger in found.values() if not has_ledger)
            self._ids |= {address: trader_id for address, (trader_id, _) in found.items()}
            self._dexes.update(pair for pair in news if pair[1])
        return {address: self._ids[address] for address, _ in seen}, added


def _read_ids(addresses: Collection[str]) -> dict[str, tuple[int, bool]]:
    """Return the numbers of those that are traders, and whether each has a ledger row."""
    if not addresses:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(TRADER_IDS, [array(addresses)])
        return {address: (trader_id, has_ledger) for address, trader_id, has_ledger in cursor}


def _add_ledgers(traders: Iterable[int]) -> None:
    """Give the traders their ledger rows."""
    bare = sorted(traders)
    if bare:
        with connection.cursor() as cursor:
            cursor.execute(ADD_LEDGERS, [array(bare)])


def lock_cursors(coins: Collection[str]) -> dict[str, tuple[Window, int | None]]:
    """Lock the coins' cursors, made where missing; return each window and last gap's end."""
    names = array(sorted(coins))
    # Before any lock: who waits for another's new row must not hold what that one waits for.
    with connection.cursor() as cursor:
        cursor.execute(ADD_CURSORS, [names])
    with connection.cursor() as cursor:
        cursor.execute(LOCK_CURSORS, [names])
        rows = cursor.fetchall()
    return {
        coin: (Window(floor_ms, newest_ms, bytes(keys)), gap_until_ms)
        for coin, floor_ms, newest_ms, keys, gap_until_ms in rows
    }


def lock(
    traders: Mapping[int, str], wanted: Iterable[tuple[int, str]]
) -> tuple[dict[int, Account], dict[tuple[int, str], Holding]]:
    """Lock the traders' ledger rows; return them, and what is held of each (trader, coin) `wanted`.

    `traders` has each one's address. Both are asked for before either is read: PostgreSQL reads
    the positions when it has the locks.
    """
    found = {pair: Holding() for pair in wanted}
    with connection.cursor() as ledgers, connection.cursor() as held:
        ledgers.execute(LOCK_LEDGERS, [array(sorted(traders))])
        held.execute(
            HOLDINGS, [array(column) for column in zip(*found, strict=True)] or ["{}", "{}"]
        )
        accounts = {
            trader_id: Account(
                trader_id, traders[trader_id], _read(floors), _read(bases), _read(doubts)
            )
            for trader_id, floors, bases, doubts in ledgers.fetchall()
        }
        for trader_id, coin, *episode, funding in held.fetchall():
            holding = found[trader_id, coin]
            holding.episode, holding.funding = _episode(coin, *episode), funding
            holding.is_stored = True
    return accounts, found


def _episode(
    coin: str, size: Decimal, entry_price: Decimal | None, *since: *tuple[Any, Any, Any, Any]
) -> Episode:
    """Return a row's episode; `since` it was opened: the time, peak, realised PnL and fees."""
    opened_at_ms, peak_size, realised_pnl, fees = since
    if peak_size is None:
        return episodes.watched_late(positions.Position(coin, size, entry_price))
    return Episode(coin, size, entry_price, opened_at_ms, peak_size, realised_pnl, fees)


def _read(column: str) -> dict[str, Any]:
    """Return a JSON column; most of them are empty."""
    return {} if column == "{}" else msgspec.json.decode(column)
