"""Snapshots of accounts become positions and events here, as fills do in `traders.ingest`.

A snapshot is one `clearinghouseState` reply of one dex, with the exchange's own time.

1. The trader's ledger row is locked: whoever changes a trader's positions holds it.
2. A snapshot at or below the floor, the time of the newest applied one, is stored, not applied.
3. The first one is the baseline: positions, no events. A later one is held against what is known,
   coin by coin (`traders.reconciling`), and becomes the floor.
4. One from before a gap, or of the five seconds after it, is stored, not applied: no fill tells
   what was missed since.
5. One that shows nothing where there should be something waits for a second look, at least 5 s of
   exchange time later, a minute where it shows no money either: such replies are known to come for
   accounts that hold plenty.
6. Numbers of events come last, because every other writer waits for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from exchange.replies import AccountState
from traders import bulk, eventlog
from traders.claims import SECOND_LOOK_SECONDS
from traders.doubts import BEFORE_MS
from traders.knowledge import dex_of
from traders.models import (
    AccountSnapshot,
    Correction,
    Healing,
    Ledger,
    Position,
    PositionEvent,
    WaitingFill,
)
from traders.outcome import NewEvent
from traders.reconciling import Reconciling, Settled
from traders.since import Since
from traders.since import read as read_since
from traders.snapshots import known_value, on_grid, position_row
from traders.statistics import EPISODE, Statistics, episode_of, keep_episode
from traders.verdicts import Verdict, judge
from traders.writing import writing

#: A bare reply is looked at so often until it is believed.
BARE_LOOK_SECONDS = 20
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
#: The columns of the ledger that a snapshot may change.
WRITTEN = [
    *("floors", "bases", "doubts", "emptied"),
    *("account_value", "nav", "unrealised_pnl", "realised_pnl"),
]
#: What of a position before a snapshot says what has happened, and what it has earned.
READ = ["coin", "size", "entry_price", "mark_price", "funding_since_open", *EPISODE]


@dataclass(slots=True)
class Recorded:
    """What became of one trader's snapshots; `head` is the log's, None without events."""

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    events: int = 0
    head: int | None = None
    corrections: list[Correction] = field(default_factory=list)
    #: Why the trader needs another look soon, and when.
    look_again: Healing | None = None
    look_after_seconds: int = SECOND_LOOK_SECONDS


def record_snapshots(
    trader_id: int,
    address: str,
    states: Mapping[str, AccountState],
    *,
    size_decimals: Mapping[str, int],
    fetched_at: datetime,
    followed: Collection[str] | None = (),
) -> Recorded:
    """Write one trader's snapshots by dex, in one transaction, and what follows from them.

    `size_decimals` has each coin's szDecimals. `followed`: the coins that the feed carries and has
    brought up to two seconds behind the snapshots; None: it has not come so far, so there is no
    verdict. Raises django.db.Error with nothing written.
    """
    recorded = Recorded()
    events: list[NewEvent] = []
    with writing():
        ledger = _locked_ledger(trader_id)
        statistics = Statistics(trader_id, ledger)
        books = {dex: _Book(trader_id, dex, state, size_decimals) for dex, state in states.items()}
        held = {coin for book in books.values() for coin in book}
        since = read_since(
            *(trader_id, states, held | ledger.doubts.keys() | set(followed or ())),
            since_ms=min(state.time_ms for state in states.values()) - BEFORE_MS,
        )
        for dex, state in sorted(states.items()):
            book = books[dex]
            is_doubtful = book.is_doubtful(state, ledger, since, followed or ())
            if not is_doubtful:
                ledger.emptied.pop(dex, None)
            verdict = judge(
                state.time_ms,
                floor_ms=ledger.floors.get(dex),
                emptied_ms=ledger.emptied.get(dex),
                is_doubtful=is_doubtful,
                is_bare=state.account_value == 0,
            )
            if followed is None or not since.is_whole:
                verdict = Verdict.UNJUDGED
                if dex not in ledger.floors:
                    recorded.look_again = Healing.BASE
            elif since.had_gap(dex, after_ms=state.time_ms - BEFORE_MS):
                verdict, recorded.look_again = Verdict.UNJUDGED, Healing.GAP
            recorded.verdicts[dex] = verdict
            if verdict in {Verdict.APPLIED, Verdict.BASELINE}:
                settled = book.settle(ledger, since, followed or ())
                events += _take(settled, state, statistics, trader_id, address)
                ledger.emptied.pop(dex, None)
                recorded.corrections += settled.corrections
                recorded.look_again = settled.look_again or recorded.look_again
            elif verdict is Verdict.WAITS:
                ledger.emptied.setdefault(dex, state.time_ms)
                if state.account_value == 0:
                    recorded.look_after_seconds = BARE_LOOK_SECONDS
            _store(trader_id, dex, state, fetched_at=fetched_at, verdict=verdict)
        statistics.write()
        ledger.save(update_fields=WRITTEN)
        if any(dex in ledger.emptied for dex in states):
            recorded.look_again = Healing.DOUBT
        recorded.events = len(events)
        recorded.head = eventlog.append(eventlog.encoded(events))
    return recorded


def _take(
    settled: Settled, state: AccountState, statistics: Statistics, trader_id: int, address: str
) -> Iterator[NewEvent]:
    """Write what one dex's snapshot comes to; yield the events, which the caller numbers."""
    bulk.add_to_days(settled.history.days)
    bulk.add_round_trips(settled.history.round_trips, estimated=False)
    if settled.solved:
        WaitingFill.objects.filter(trader_id=trader_id, coin__in=settled.solved).delete()
    if settled.dex:
        statistics.leave_out(settled.history)
    details = statistics.add(
        *(settled.dex, settled.before, settled.told, settled.changes),
        time_ms=state.time_ms,
        account_value=known_value(state),
        later_pnl=settled.later_pnl,
        is_whole=settled.look_again is None,
    )
    _keep_episodes(settled)
    gone = [coin for coin, row in settled.rows.items() if row is None and coin in settled.before]
    if gone:
        Position.objects.filter(trader_id=trader_id, coin__in=gone).delete()
    Position.objects.bulk_create(
        [row for row in settled.rows.values() if row is not None],
        update_conflicts=True,
        unique_fields=["trader", "coin"],
        update_fields=REFRESHED,
    )
    Correction.objects.bulk_create(settled.corrections)
    for change, told in zip(settled.changes, details, strict=True):
        source = PositionEvent.Source.SNAPSHOT
        yield NewEvent(trader_id, address, change, source, state.time_ms, details=told)


def _keep_episodes(settled: Settled) -> None:
    """Give the rows what the changes have made of their episodes; a correction's began unseen."""
    for coin in {change.coin for change in settled.changes} & settled.told.keys():
        row = settled.rows[coin]
        if row is not None:
            keep_episode(row, episode_of(settled.told[coin]))
    for correction in settled.corrections:
        row = settled.rows[correction.coin]
        if row is not None:
            row.opened_at_ms = None


class _Book:
    """What a trader held on one dex before a snapshot, and what that tells; never flat coins."""

    def __init__(
        self, trader_id: int, dex: str, state: AccountState, size_decimals: Mapping[str, int]
    ) -> None:
        self._dex = dex
        self._time_ms = state.time_ms
        held = Position.objects.filter(trader_id=trader_id, dex=dex)
        self._before = {row.coin: row for row in held.only(*READ)}
        self._told = {
            position.coin: position_row(trader_id, dex, position, size, state.time_ms)
            for position in state.positions
            if (size := on_grid(position.signed_size, position.coin, size_decimals))
        }

    def __iter__(self) -> Iterator[str]:
        """Yield every coin that was held or is told."""
        return iter(self._before.keys() | self._told.keys())

    def is_doubtful(
        self, state: AccountState, ledger: Ledger, since: Since, followed: Collection[str]
    ) -> bool:
        """Return whether the snapshot shows nothing where there should be something.

        Such replies are known to come for accounts that hold plenty: money and positions do not
        go together unseen. One that lacks positions alone contradicts the feed as any other does.
        """
        if self._told:
            return False
        needs_base = self._dex not in ledger.floors or any(
            dex_of(coin) == self._dex for coin in (*since.waiting, *ledger.doubts)
        )
        if any(coin not in followed for coin in self._before):
            return True
        if state.account_value != 0:
            return False
        if needs_base or self._before:
            return True
        floor_ms = ledger.floors[self._dex]
        return since.had_gap(self._dex, after_ms=floor_ms - 1) and self._had_money(ledger)

    def _had_money(self, ledger: Ledger) -> bool:
        """Return whether the last reply that was believed showed money on this dex."""
        if not self._dex:
            return ledger.account_value is not None
        believed = AccountSnapshot.objects.filter(
            trader_id=ledger.pk, dex=self._dex, applied=True
        ).order_by("-state_time_ms")
        return believed.values_list("account_value", flat=True).first() is not None

    def settle(self, ledger: Ledger, since: Since, followed: Collection[str]) -> Settled:
        """Return what the snapshot comes to."""
        return Reconciling(
            *(ledger, self._dex, self._time_ms),
            before=self._before,
            told=self._told,
            followed=followed,
            since=since,
        ).settle()


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
    fetched_at: datetime,
    verdict: Verdict,
) -> None:
    """Keep the snapshot itself: the account's history of equity."""
    value = known_value(state)
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
