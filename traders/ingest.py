"""The one transaction in which trades become positions, days and events, exactly once.

1. The coins' cursors are locked: whoever counts a coin's trades holds them. What they have counted
   is dropped, gaps that the frames show are noted.
2. Addresses that nobody knew become traders.
3. The ledger rows of the traders that the fills touch are locked, their positions are read, the
   pure fold tells what follows, and rows are written in bulk (`traders.booking`).
4. The coins' cursors and gaps are written.
5. Numbers of events come last, because every other writer waits for them.

All of it commits together or not at all, so any number of processes may bring the same trades, in
any order, and be killed at any point.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import localcontext
from types import MappingProxyType

from exchange.wire import Trade
from hlcopy.clock import utc_now
from traders import booking, bulk, coverage, eventlog, folding, ledgers
from traders.counting import CoinBatch
from traders.cursors import Arrival, Gap
from traders.episodes import EXACT
from traders.knowledge import dex_of
from traders.ledgers import KnownTraders
from traders.socket_report import SocketReport
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


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let the collector of cycles rest.

    A batch makes some 100,000 objects and no cycle; to look through them all again and again took a
    third of the time, and to look once at its end a thirtieth: they are gone when it returns.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_uncollected()
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
    with writing(), localcontext(EXACT):
        with bulk.together():
            coins = _lock_coins(arrivals, lost, reached)
            counted = _count(arrivals, coins)
            if waits_as:
                _let_others_fill(coins, waits_as)
            _narrow(coins, reached)
            ids, done.new_traders = known.learn(_seen(arrivals), utc_now())
            outcome = booking.book(counted, ids, coins)
            _write_cursors(coins)
            events = eventlog.encoded(outcome.events)
        booking.append(outcome)
        if reports:
            coverage.report(reports)
        done.trades, done.events = len(counted), len(outcome.events)
        done.gaps = sum(len(coin.gaps) for coin in coins.values())
        done.reached = {name: coin.window.newest_ms or 0 for name, coin in coins.items()}
        done.head = eventlog.append(events)
    return done


def _lock_coins(
    arrivals: Sequence[Arrival], lost: Sequence[Gap], reached: Mapping[str, int]
) -> dict[str, CoinBatch]:
    """Lock the cursors and note what was let go, and what the book has lost."""
    names = {arrival.coin for arrival in arrivals} | {gap.coin for gap in lost}
    if not names:
        return {}
    coins = {coin: CoinBatch(*row) for coin, row in ledgers.lock_cursors(names).items()}
    for gap in lost:
        coins[gap.coin].note(gap)
    for name, coin in coins.items():
        has_ms, had_ms = coin.window.newest_ms, reached.get(name)
        if has_ms is not None and had_ms is not None and has_ms < had_ms:
            coin.note(Gap(name, has_ms, had_ms, "outage"))
    return coins


def _count(arrivals: Sequence[Arrival], coins: Mapping[str, CoinBatch]) -> list[tuple[Trade, bool]]:
    """Return every trade that counts, with whether it is old news."""
    counted: list[tuple[Trade, bool]] = []
    for arrival in arrivals:
        oldest_ms = (arrival.clock_ms or 0) - folding.REPLAYED_AFTER_MS
        counted += (
            (trade, trade.time_ms < oldest_ms) for trade in coins[arrival.coin].take(arrival)
        )
    return counted


def _let_others_fill(coins: Mapping[str, CoinBatch], process: str) -> None:
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


def _narrow(coins: Mapping[str, CoinBatch], reached: Mapping[str, int]) -> None:
    """Let outages begin where the sockets that carried the coins were lost, other processes' too.

    What a quiet coin last traded may lie long before. Of a book that was restored the sockets say
    nothing.
    """

    def begun(gap: Gap, carried_ms: int) -> Gap:
        if gap.reason != "outage" or gap.to_ms == reached.get(gap.coin):
            return gap
        return replace(gap, from_ms=max(gap.from_ms or 0, min(carried_ms, gap.to_ms - 1)))

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


def _write_cursors(coins: Mapping[str, CoinBatch]) -> None:
    """Write the gaps and how far each coin is counted."""
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
