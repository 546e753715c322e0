"""The one door through which positions and events are written.

A snapshot of an account is one `clearinghouseState` reply of one dex, with the exchange's own time.

1. The trader's ledger row is locked: whoever changes a trader's positions holds it.
2. A snapshot at or below the floor, the time of the newest applied one, is stored, not applied.
3. The first one is the baseline: positions, no events. A later one makes an event of each
   difference and becomes the floor.
4. One that drops every position at once waits for a second look, at least 5 s of exchange time
   later, which must drop them too: such replies are known to come for accounts that hold plenty.
5. Numbers of events come last, because every other writer waits for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import Enum, auto

from django.db import connection, transaction

from exchange.numbers import quantise
from exchange.replies import AccountState, PositionState
from traders import eventlog, positions
from traders.episodes import usd
from traders.eventlog import NewEvent
from traders.models import AccountSnapshot, Ledger, Position, PositionEvent
from traders.positions import Change
from traders.statistics import EPISODE, Statistics, mark_price

SECOND_LOOK_MS = 5_000
#: A float has 15 decimal digits that can be trusted; sizes on the wire have at most 8 decimals.
TRUSTED_DIGITS = Context(prec=15, rounding=ROUND_HALF_EVEN)
MOST_SIZE_DECIMALS = 8
# A writer that is frozen holds its locks no longer than this. PostgreSQL 17 brought the last one.
LIMIT_TRANSACTION = """
SELECT set_config('lock_timeout', '3s', true),
    set_config('idle_in_transaction_session_timeout', '3s', true),
    CASE WHEN current_setting('server_version_num')::int >= 170000
        THEN set_config('transaction_timeout', '10s', true) END
"""
REFRESHED = [
    "dex",
    "size",
    "entry_price",
    "notional",
    "unrealised_pnl",
    "leverage",
    "leverage_type",
    "margin_used",
    "liquidation_price",
    "mark_price",
    "funding_since_open",
    "as_of_ms",
    *EPISODE,
]
#: What of a position before a snapshot says what has happened, and what it has earned.
READ = ["coin", "size", "entry_price", "mark_price", "funding_since_open", *EPISODE]


class Verdict(Enum):
    """What is done with a snapshot."""

    OLD = auto()
    BASELINE = auto()
    WAITS = auto()
    APPLIED = auto()


@dataclass(slots=True)
class Recorded:
    """What became of one trader's snapshots; `head` is the log's, None without events."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    events: int = 0
    head: int | None = None
    look_again: bool = False


@contextmanager
def writing() -> Iterator[None]:
    """Open a transaction that cannot hold its locks for long, or join the one that is open."""
    with transaction.atomic(savepoint=False):
        with connection.cursor() as cursor:
            cursor.execute(LIMIT_TRANSACTION)
        yield


def record_snapshots(
    trader_id: int,
    address: str,
    states: Mapping[str, AccountState],
    *,
    size_decimals: Mapping[str, int],
    fetched_at: datetime,
) -> Recorded:
    """Write one trader's snapshots by dex, in one transaction, and what follows from them.

    `size_decimals` has each coin's szDecimals. Raises django.db.Error with nothing written.
    """
    recorded = Recorded()
    events: list[NewEvent] = []
    with writing():
        ledger = _locked_ledger(trader_id)
        statistics = Statistics(trader_id, ledger)
        for dex, state in sorted(states.items()):
            book = _Book(trader_id, dex, state, size_decimals)
            verdict = judge(
                state.time_ms,
                floor_ms=ledger.floors.get(dex),
                emptied_ms=ledger.emptied.get(dex),
                dropped=bool(book.before) and not book.after,
            )
            recorded.verdicts[dex] = verdict
            value = known_value(state)
            if verdict in {Verdict.APPLIED, Verdict.BASELINE}:
                changes = book.changes() if verdict is Verdict.APPLIED else ()
                details = statistics.add(
                    *(dex, book.before, book.after, changes),
                    time_ms=state.time_ms,
                    account_value=value,
                )
                source = PositionEvent.Source.SNAPSHOT
                events += (
                    NewEvent(trader_id, address, change, source, state.time_ms, details=told)
                    for change, told in zip(changes, details, strict=True)
                )
                book.write()
                ledger.floors[dex] = state.time_ms
                ledger.emptied.pop(dex, None)
            elif verdict is Verdict.WAITS:
                ledger.emptied.setdefault(dex, state.time_ms)
            _store(trader_id, dex, state, value=value, fetched_at=fetched_at, verdict=verdict)
        statistics.write()
        ledger.save(
            update_fields=[
                *("floors", "emptied"),
                *("account_value", "nav", "unrealised_pnl", "realised_pnl"),
            ]
        )
        recorded.look_again = any(dex in ledger.emptied for dex in states)
        recorded.events = len(events)
        recorded.head = eventlog.append(events)
    return recorded


def judge(time_ms: int, *, floor_ms: int | None, emptied_ms: int | None, dropped: bool) -> Verdict:
    """Decide about a snapshot of exchange time `time_ms` (pure).

    `dropped`: the trader held something on that dex and the snapshot has nothing; `emptied_ms` is
    the time of an earlier such snapshot that still waits to be confirmed.
    """
    if floor_ms is None:
        return Verdict.BASELINE
    if time_ms <= floor_ms:
        return Verdict.OLD
    if dropped and (emptied_ms is None or time_ms < emptied_ms + SECOND_LOOK_MS):
        return Verdict.WAITS
    return Verdict.APPLIED


def on_grid(size: Decimal, coin: str, size_decimals: Mapping[str, int]) -> Decimal:
    """Return a snapshot's size without the exchange's float noise (pure).

    A coin that is not listed yet is rounded to what a float is good for, which the coin's own
    grid does not change later on.
    """
    if coin in size_decimals:
        return quantise(size, size_decimals[coin])
    return quantise(TRUSTED_DIGITS.plus(size), MOST_SIZE_DECIMALS)


def known_value(state: AccountState) -> Decimal | None:
    """Return the account's value, None where this reply cannot tell it (pure).

    A unified account keeps its money on the spot side and shows 0 or little here. `userAbstraction`
    would say so for 20 weight; the reply itself says enough. Without positions 0 may be all there
    is, or all that is seen: unknown. With positions a value below their maintenance margin (half
    the initial margin at the coin's maximal leverage) would have been liquidated: the money that
    holds them is elsewhere.
    """
    maintenance = sum(
        (
            abs(position.notional) / (2 * max(position.max_leverage, 1))
            for position in state.positions
        ),
        Decimal(0),
    )
    known = state.account_value > 0 and state.account_value >= maintenance
    return state.account_value if known else None


class _Book:
    """What a trader held on one dex before a snapshot and holds after it; flat coins are absent."""

    def __init__(
        self, trader_id: int, dex: str, state: AccountState, size_decimals: Mapping[str, int]
    ) -> None:
        rows = [
            _row(trader_id, dex, held, size, state.time_ms)
            for held in state.positions
            if (size := on_grid(held.signed_size, held.coin, size_decimals))
        ]
        self._of_dex = Position.objects.filter(trader_id=trader_id, dex=dex)
        self.before = {row.coin: row for row in self._of_dex.only(*READ)}
        self.after = {row.coin: row for row in rows}

    def changes(self) -> tuple[Change, ...]:
        """Return what leads from the state before to the state after."""
        return positions.diff(_sizes(self.before), _sizes(self.after))

    def write(self) -> None:
        """Bring the rows to the state after."""
        if gone := self.before.keys() - self.after.keys():
            self._of_dex.filter(coin__in=gone).delete()
        Position.objects.bulk_create(
            self.after.values(),
            update_conflicts=True,
            unique_fields=["trader", "coin"],
            update_fields=REFRESHED,
        )


def _sizes(rows: Mapping[str, Position]) -> dict[str, positions.Position]:
    return {
        coin: positions.Position(coin, row.size, row.entry_price, row.mark_price)
        for coin, row in rows.items()
    }


def _row(trader_id: int, dex: str, held: PositionState, size: Decimal, time_ms: int) -> Position:
    return Position(
        trader_id=trader_id,
        dex=dex,
        coin=held.coin,
        size=size,
        entry_price=held.entry_price,
        notional=held.notional,
        unrealised_pnl=held.unrealised_pnl,
        leverage=held.leverage,
        leverage_type=held.leverage_type[:16],
        margin_used=held.margin_used,
        liquidation_price=held.liquidation_price,
        mark_price=mark_price(held),
        funding_since_open=usd(held.funding_since_open),
        as_of_ms=time_ms,
    )


def _locked_ledger(trader_id: int) -> Ledger:
    """Lock the trader's ledger row, made when it is first needed."""
    rows = Ledger.objects.select_for_update(no_key=True).filter(trader_id=trader_id)
    ledger = rows.first()
    if ledger is None:
        Ledger.objects.bulk_create([Ledger(trader_id=trader_id)], ignore_conflicts=True)
        ledger = rows.get()
    return ledger


def _store(
    trader_id: int,
    dex: str,
    state: AccountState,
    *,
    value: Decimal | None,
    fetched_at: datetime,
    verdict: Verdict,
) -> None:
    """Keep the snapshot itself: the account's history of equity."""
    AccountSnapshot.objects.create(
        trader_id=trader_id,
        dex=dex,
        state_time_ms=state.time_ms,
        fetched_at=fetched_at,
        account_value=value,
        total_notional=state.total_notional,
        margin_used=state.margin_used,
        withdrawable=None if value is None else state.withdrawable,
        positions=len(state.positions),
        applied=verdict in {Verdict.APPLIED, Verdict.BASELINE},
    )
