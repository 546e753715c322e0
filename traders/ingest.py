"""The one transaction in which trades become positions, days and events, exactly once.

1. The coins' cursors are locked: whoever counts a coin's trades holds them. What they have counted
   is dropped, gaps that the frames show are noted.
2. Addresses that nobody knew become traders.
3. The ledger rows of the traders that the fills touch are locked, and their positions are read.
4. The pure fold tells what follows; rows are written in bulk, cursors with them.
5. Numbers of events come last, because every other writer waits for them.

All of it commits together or not at all, so any number of processes may bring the same trades, in
any order, and be killed at any point.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from types import MappingProxyType

from exchange.wire import Trade
from hlcopy.clock import utc_now
from traders import bulk, coverage, days, eventlog, folding, ledgers
from traders.cursors import Arrival, Gap, Start, Window
from traders.episodes import EXACT
from traders.folding import Account, Block, Holding
from traders.knowledge import dex_of, is_perpetual
from traders.ledgers import KnownTraders
from traders.outcome import Outcome
from traders.socket_report import SocketReport
from traders.told import take_start
from traders.writing import writing


class AheadOfOthersError(Exception):
    """A replay shows a hole that another process may be about to fill; nothing is written."""


@dataclass(slots=True)
class Ingested:
    """What one transaction has done."""

    trades: int = 0
    new_traders: int = 0
    events: int = 0
    gaps: int = 0
    head: int | None = None
    #: The newest block that the book now has of each coin of the batch.
    reached: dict[str, int] = field(default_factory=dict)
    #: Coins of which a node has told other positions than the feed, with no gap that explains it.
    drifted: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Coin:
    """One coin's share of the batch."""

    window: Window
    gap_until_ms: int | None
    last_price: Decimal | None = None
    trades: int = 0
    late: int = 0
    gaps: list[Gap] = field(default_factory=list)
    # What a node tells of the position before a block, by (address, time of the block).
    starts: dict[tuple[str, int], Start | None] = field(default_factory=dict)

    def note(self, gap: Gap | None) -> None:
        if gap is not None:
            self.gaps.append(gap)
            self.gap_until_ms = max(self.gap_until_ms or 0, gap.to_ms)

    def take(self, arrival: Arrival) -> list[Trade]:
        """Return the frame's trades that count."""
        newest_ms = self.window.newest_ms or 0
        fresh, gap = self.window.take(arrival)
        self.note(gap)
        self.trades += len(fresh)
        # Nothing can be told backwards: a later fill may stand in the ledger already.
        if arrival.starts and arrival.trades[0].time_ms > newest_ms:
            self._take_starts(arrival)
        if arrival.trades[-1].time_ms >= newest_ms:
            self.last_price = arrival.trades[-1].price
        self.late += sum(trade.time_ms < newest_ms for trade in fresh)
        return fresh

    def _take_starts(self, arrival: Arrival) -> None:
        for trade, (buyer, seller) in zip(arrival.trades, arrival.starts, strict=True):
            if trade.buyer != trade.seller:
                self.starts.setdefault((trade.buyer, trade.time_ms), buyer)
                self.starts.setdefault((trade.seller, trade.time_ms), seller)


def ingest(
    arrivals: Sequence[Arrival],
    known: KnownTraders,
    *,
    lost: Sequence[Gap] = (),
    reached: Mapping[str, int] = MappingProxyType({}),
    reports: Sequence[SocketReport] = (),
    waits_as: str = "",
) -> Ingested:
    """Count the frames' trades in one transaction; raises django.db.Error with nothing written.

    `lost`: trades that the caller had to let go. `reached`: the newest blocks that it has seen
    committed; a book that has fallen behind them was restored, and has a gap. `reports`: what its
    sockets say of themselves after these frames, written with them, so that a row never claims
    more than is committed. `waits_as`: of sockets whose names begin so AheadOfOthersError is raised
    where others carry the coin of a hole and have not come past it; empty: it is a gap at once.
    """
    done = Ingested()
    with writing(), localcontext(EXACT), _uncollected():
        coins = _lock_coins(arrivals, lost, reached)
        counted = _count(arrivals, coins)
        if waits_as:
            _let_others_fill(coins, waits_as)
        _narrow(coins, reached)
        ids, done.new_traders = known.learn(_seen(arrivals), utc_now())
        outcome = Outcome()
        blocks = folding.blocks(counted, ids, outcome)
        addresses = {number: address for address, number in ids.items()}
        accounts = ledgers.lock_ledgers(
            {number: addresses[number] for number in _touched(blocks, outcome)}
        )
        holdings = ledgers.holdings((block.trader_id, block.coin) for block in blocks)
        for block in blocks:
            account = accounts[block.trader_id]
            holding, coin = holdings[block.trader_id, block.coin], coins[block.coin]
            until_ms = coin.gap_until_ms
            start = coin.starts.get((account.address, block.time_ms))
            if start is not None and is_perpetual(block.coin):
                take_start(block, account, holding, outcome, start, gap_until_ms=until_ms)
            folding.fold(block, account, holding, outcome, gap_until_ms=until_ms)
        _write(coins, accounts, holdings, outcome)
        if reports:
            coverage.report(reports)
        done.trades, done.events = len(counted), len(outcome.events)
        done.drifted = {coin for _, coin, *_, cause in outcome.corrections if cause == "drift"}
        done.gaps = sum(len(coin.gaps) for coin in coins.values())
        done.reached = {name: coin.window.newest_ms or 0 for name, coin in coins.items()}
        done.head = eventlog.append(outcome.events)
    return done


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let the collector of cycles rest.

    A batch makes some 100,000 objects and no cycle; to look through them all again and again took a
    third of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _lock_coins(
    arrivals: Sequence[Arrival], lost: Sequence[Gap], reached: Mapping[str, int]
) -> dict[str, _Coin]:
    """Lock the cursors and note what was let go, and what the book has lost."""
    names = {arrival.coin for arrival in arrivals} | {gap.coin for gap in lost}
    if not names:
        return {}
    coins = {coin: _Coin(*row) for coin, row in ledgers.lock_cursors(names).items()}
    for gap in lost:
        coins[gap.coin].note(gap)
    for name, coin in coins.items():
        has_ms, had_ms = coin.window.newest_ms, reached.get(name)
        if has_ms is not None and had_ms is not None and has_ms < had_ms:
            coin.note(Gap(name, has_ms, had_ms, "outage"))
    return coins


def _count(arrivals: Sequence[Arrival], coins: Mapping[str, _Coin]) -> list[tuple[Trade, bool]]:
    """Return every trade that counts, with whether it is old news."""
    counted: list[tuple[Trade, bool]] = []
    for arrival in arrivals:
        oldest_ms = (arrival.clock_ms or 0) - folding.REPLAYED_AFTER_MS
        counted += (
            (trade, trade.time_ms < oldest_ms) for trade in coins[arrival.coin].take(arrival)
        )
    return counted


def _let_others_fill(coins: Mapping[str, _Coin], process: str) -> None:
    """Raise AheadOfOthersError where a hole may be filled by what others have received.

    A newcomer's replay is the newest that there is; who carried the coin may commit a little later.
    """
    holes = {
        name: gap.to_ms
        for name, coin in coins.items()
        for gap in coin.gaps
        if gap.reason == "outage"
    }
    if holes and (behind := coverage.others_behind(holes, process=process)):
        raise AheadOfOthersError(", ".join(sorted(behind)))


def _narrow(coins: Mapping[str, _Coin], reached: Mapping[str, int]) -> None:
    """Let outages begin where the sockets that carried the coins were lost, other processes' too.

    What a quiet coin last traded may lie long before. Of the newest block its frame may be lost. Of
    a book that was restored the sockets say nothing.
    """

    def begun(gap: Gap, carried_ms: int) -> Gap:
        if gap.reason != "outage" or gap.to_ms == reached.get(gap.coin):
            return gap
        return replace(gap, from_ms=max(gap.from_ms or 0, min(carried_ms, gap.to_ms) - 1))

    ended = {name for name, coin in coins.items() if any(g.reason == "outage" for g in coin.gaps)}
    for name, carried_ms in coverage.last_carried(ended).items():
        coins[name].gaps = [begun(gap, carried_ms) for gap in coins[name].gaps]


def _seen(arrivals: Sequence[Arrival]) -> set[tuple[str, str]]:
    """Return (address, dex) of every buyer and every seller, repeats too: they may be unknown."""
    seen = set()
    for arrival in arrivals:
        dex = dex_of(arrival.coin)
        for trade in arrival.trades:
            seen.add((trade.buyer, dex))
            seen.add((trade.seller, dex))
    return {(address, dex) for address, dex in seen if address}


def _touched(blocks: Sequence[Block], outcome: Outcome) -> set[int]:
    """Return the traders whose rows change; who only washed has a day that changes."""
    return {block.trader_id for block in blocks} | {trader_id for trader_id, _ in outcome.days}


def _write(
    coins: Mapping[str, _Coin],
    accounts: Mapping[int, Account],
    holdings: Mapping[tuple[int, str], Holding],
    outcome: Outcome,
) -> None:
    """Write all but the events."""
    bulk.write_ledgers(account for account in accounts.values() if account.has_changed)
    bulk.add_corrections(outcome.corrections)
    bulk.remove_waiting(outcome.told)
    bulk.write_positions(holdings)
    bulk.add_to_days(outcome.days)
    days.leave_out(outcome.left_out)
    bulk.add_round_trips(outcome.round_trips, estimated=False)
    bulk.add_waiting([fill for fill in outcome.waiting if fill[:2] not in outcome.told])
    bulk.add_gaps(gap for coin in coins.values() for gap in coin.gaps)
    bulk.write_cursors(
        [
            bulk.cursor_row(
                name,
                coin.window,
                gap_until_ms=coin.gap_until_ms,
                price=coin.last_price,
                trades=coin.trades,
                late=coin.late,
            )
            for name, coin in coins.items()
            if coin.window.floor_ms is not None or coin.gaps
        ]
    )
