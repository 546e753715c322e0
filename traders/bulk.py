"""Writes what a batch of trades has made: one statement for many rows of a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from django.db import connection

from traders.arrays import array
from traders.cursors import Gap, Window
from traders.episodes import RoundTrip
from traders.folding import Account, Holding
from traders.knowledge import dex_of
from traders.outcome import DaySums
from traders.writing import ENDS_TRANSACTIONS

# Whether there is a row was read under the ledger's lock, so it still holds. INSERT ... ON CONFLICT
# would lock each row before it changes it, and write that to PostgreSQL's log too.
ADD_POSITIONS = """
INSERT INTO traders_position (
    trader_id, coin, dex, size, entry_price, opened_at_ms, peak_size, realised_pnl, fees,
    leverage_type
)
SELECT news.*, '' FROM unnest(
    %s::bigint[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::bigint[], %s::numeric[],
    %s::numeric[], %s::numeric[]
) AS news
"""
# What depends on the size is no longer what the snapshot told, nor on another side the rest of it.
CHANGE_POSITIONS = """
UPDATE traders_position AS held SET
    size = news.size, entry_price = news.entry_price,
    opened_at_ms = news.opened_at_ms, peak_size = news.peak_size,
    realised_pnl = news.realised_pnl, fees = news.fees,
    notional = NULL, unrealised_pnl = NULL, margin_used = NULL, liquidation_price = NULL,
    funding_since_open = CASE WHEN sign(held.size) = sign(news.size)
        THEN held.funding_since_open END
FROM unnest(
    %s::bigint[], %s::text[], %s::text[], %s::numeric[], %s::numeric[], %s::bigint[], %s::numeric[],
    %s::numeric[], %s::numeric[]
) AS news (
    trader_id, coin, dex, size, entry_price, opened_at_ms, peak_size, realised_pnl, fees
)
WHERE held.trader_id = news.trader_id AND held.coin = news.coin
"""
REMOVE_POSITIONS = """
DELETE FROM traders_position AS held
USING unnest(%s::bigint[], %s::text[]) AS gone (trader_id, coin)
WHERE held.trader_id = gone.trader_id AND held.coin = gone.coin
"""
_OF_DAYS = DaySums.__struct_fields__
# How a new row is added to the stored one. GREATEST and LEAST pass over null.
_ADDED = {name: f"kept.{name} + news.{name}" for name in _OF_DAYS} | {
    "best_trip_pnl": "greatest(kept.best_trip_pnl, news.best_trip_pnl)",
    "worst_trip_pnl": "least(kept.worst_trip_pnl, news.worst_trip_pnl)",
}
_COUNTS = ("fills", "events", "closed", "completed", "wins", "losses")
_TYPES = dict.fromkeys(_COUNTS, "int") | {"held_ms": "bigint"}
# The ledger's lock keeps others from adding the day between the two halves.
ADD_TO_DAYS = f"""
WITH news AS (
    SELECT * FROM unnest(%s::bigint[], %s::date[], {
    ", ".join(f"%s::{_TYPES.get(name, 'numeric')}[]" for name in _OF_DAYS)
}) AS news (trader_id, day, {", ".join(_OF_DAYS)})
), added AS (
    UPDATE traders_traderday AS kept
    SET {", ".join(f"{name} = {added}" for name, added in _ADDED.items())}
    FROM news WHERE kept.trader_id = news.trader_id AND kept.day = news.day
    RETURNING kept.trader_id, kept.day
)
INSERT INTO traders_traderday (trader_id, day, net_flow, snapshots, {", ".join(_OF_DAYS)})
SELECT trader_id, day, 0, 0, {", ".join(_OF_DAYS)} FROM news
WHERE (trader_id, day) NOT IN (SELECT trader_id, day FROM added)
"""  # noqa: S608 (the names of our own columns)
ADD_ROUND_TRIPS = """
COPY traders_roundtrip (
    trader_id, dex, coin, side, opened_at_ms, closed_at_ms, peak_size, entry_price, gross_pnl, fees,
    funding, net_pnl, complete, estimated
) FROM STDIN
"""
ADD_WAITING = """
COPY traders_waitingfill (trader_id, coin, time_ms, size, price, is_taker) FROM STDIN
"""
# Only what a node has told is removed: its pairs are few.
REMOVE_WAITING = """
DELETE FROM traders_waitingfill AS fill
USING unnest(%s::bigint[], %s::text[]) AS told (trader_id, coin)
WHERE fill.trader_id = told.trader_id AND fill.coin = told.coin
"""
WRITE_LEDGERS = """
UPDATE traders_ledger AS kept SET bases = news.bases, doubts = news.doubts
FROM unnest(%s::bigint[], %s::jsonb[], %s::jsonb[]) AS news (trader_id, bases, doubts)
WHERE kept.trader_id = news.trader_id
"""
ADD_CORRECTIONS = """
INSERT INTO traders_correction (
    trader_id, coin, state_time_ms, ledger_size, snapshot_size, cause, corrected_at
)
SELECT *, statement_timestamp() FROM unnest(
    %s::bigint[], %s::text[], %s::bigint[], %s::numeric[], %s::numeric[], %s::text[]
)
"""
WRITE_CURSORS = """
UPDATE traders_feedcursor AS kept
SET keys = news.keys, floor_ms = news.floor_ms, newest_ms = news.newest_ms,
    gap_until_ms = greatest(kept.gap_until_ms, news.gap_until_ms),
    last_price = coalesce(news.last_price, kept.last_price),
    trades = kept.trades + news.trades, late = kept.late + news.late
FROM unnest(
    %s::text[], %s::bytea[], %s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[], %s::int[],
    %s::int[]
) AS news (coin, keys, floor_ms, newest_ms, gap_until_ms, last_price, trades, late)
WHERE kept.coin = news.coin
"""
END_GAPS = """
UPDATE traders_feedcursor AS kept SET gap_until_ms = greatest(kept.gap_until_ms, gap.until_ms)
FROM unnest(%s::text[], %s::bigint[]) AS gap (coin, until_ms) WHERE kept.coin = gap.coin
"""
ADD_GAPS = """
INSERT INTO traders_feedgap (coin, from_ms, to_ms, reason, noted_at)
SELECT *, statement_timestamp()
FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[])
"""


@contextmanager
def together() -> Iterator[None]:
    """Send the statements of the block without waiting for each one's end, in an open transaction.

    What they raise is raised at the latest when the block ends. No COPY may stand among them, none
    may need the number of its rows, and what is read has a cursor for each statement.
    """
    # Between two of them the server does not know that it is idle: `traders.writing`.
    if connection.connection.info.server_version < ENDS_TRANSACTIONS:
        yield
        return
    # Django gives the driver's errors their own classes everywhere but here.
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


def write_positions(holdings: Mapping[tuple[int, str], Holding]) -> None:
    """Bring the rows of the holdings that have changed to what they are now."""
    new: list[tuple[Any, ...]] = []
    stored: list[tuple[Any, ...]] = []
    gone: list[tuple[int, str]] = []
    for key, held in holdings.items():
        now = held.episode
        if not held.has_changed:
            continue
        if now is None:
            if held.is_stored:
                gone.append(key)
            continue
        row = (
            *(*key, dex_of(now.coin), now.size, now.entry_price, now.opened_at_ms),
            *(now.peak_size, now.realised_pnl, now.fees),
        )
        (stored if held.is_stored else new).append(row)
    _execute(ADD_POSITIONS, new)
    _execute(CHANGE_POSITIONS, stored)
    _execute(REMOVE_POSITIONS, gone)


def add_to_days(days: Mapping[tuple[int, date], DaySums]) -> None:
    """Add the sums to the traders' days."""
    rows = [(*key, *(getattr(sums, name) for name in _OF_DAYS)) for key, sums in days.items()]
    _execute(ADD_TO_DAYS, rows)


def add_round_trips(ended: Iterable[tuple[int, RoundTrip]], *, estimated: bool) -> None:
    """Append the round trips, (trader, trip)."""
    rows = [
        (
            *(trader_id, dex_of(trip.coin), trip.coin, trip.side, trip.opened_at_ms),
            *(trip.closed_at_ms, trip.peak_size, trip.entry_price, trip.gross_pnl, trip.fees),
            *(trip.funding, trip.net_pnl, trip.complete, estimated),
        )
        for trader_id, trip in ended
    ]
    _copy(ADD_ROUND_TRIPS, rows)


def add_waiting(fills: Sequence[tuple[Any, ...]]) -> None:
    """Append fills whose base is unknown: (trader, coin, time, signed size, price, took)."""
    _copy(ADD_WAITING, fills)


def remove_waiting(told: Iterable[tuple[int, str]]) -> None:
    """Remove the fills that wait of each (trader, coin)."""
    _execute(REMOVE_WAITING, list(told))


def write_ledgers(accounts: Iterable[Account]) -> None:
    """Write the bases and doubts of the accounts, whose ledger rows are locked."""
    rows = [
        (account.trader_id, json.dumps(account.bases), json.dumps(account.doubts))
        for account in accounts
    ]
    _execute(WRITE_LEDGERS, rows)


def add_corrections(corrections: Sequence[tuple[Any, ...]]) -> None:
    """Append (trader, coin, time, size in the ledger, size that was told, cause)."""
    _execute(ADD_CORRECTIONS, corrections)


def add_gaps(gaps: Iterable[Gap]) -> None:
    """Append the gaps."""
    _execute(ADD_GAPS, [(gap.coin, gap.from_ms, gap.to_ms, gap.reason) for gap in gaps])


def end_gaps_at(ends: Mapping[str, int]) -> None:
    """Let the coins' last gaps end there, or later where they do already."""
    _execute(END_GAPS, list(ends.items()))


def write_cursors(rows: Sequence[tuple[Any, ...]]) -> None:
    """Write (coin, keys, floor, newest, end of the last gap, price, trades, of them late)."""
    _execute(WRITE_CURSORS, rows)


def cursor_row(
    coin: str, window: Window, *, gap_until_ms: int | None, price: Any, trades: int, late: int
) -> tuple[Any, ...]:
    """Return a cursor's row for `write_cursors`."""
    packed = window.packed()
    return (coin, packed, window.floor_ms, window.newest_ms, gap_until_ms, price, trades, late)


def _execute(statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run a statement over the rows' columns, as arrays; nothing without rows."""
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(statement, [array(column) for column in zip(*rows, strict=True)])


def _copy(statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        # Django gives the driver's errors their own classes everywhere but here.
        with (
            connection.cursor() as cursor,
            connection.wrap_database_errors,
            cursor.copy(statement) as copy,
        ):
            for row in rows:
                copy.write_row(row)
