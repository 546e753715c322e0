"""Writes what follows from a trader's snapshots: episodes, round trips and days, all of it in the
transaction that writes the positions, under the lock of the trader's ledger row.

1. A change has the price that the entry prices imply, else the coin's mark price at that time: the
   snapshot's own where the trader still holds the coin, else the newest of any trader's snapshots.
   No trade was seen: all of it is estimated.
2. Fees are a taker's, funding is what the last snapshot before the close tells.
3. The event log has what valued each change, so that all sums can be told again from it.
4. Equity, flows and returns are those of the main dex, from one applied snapshot to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal, localcontext

from django.db import connection

from exchange.replies import PositionState
from hlcopy.clock import from_ms
from hlcopy.decimals import plain
from traders import days, episodes, equity, positions
from traders.episodes import EXACT, Episode, usd
from traders.models import Ledger, Position, RoundTrip, TraderDay
from traders.outcome import Outcome
from traders.positions import ZERO, Change

#: A mark price older than this says nothing about the price of a close.
MARK_LASTS_MS = 600_000
NEWEST_MARKS = """
SELECT wanted.coin, newest.mark_price
FROM unnest(%s::text[]) AS wanted (coin)
CROSS JOIN LATERAL (
    SELECT mark_price FROM traders_position AS held
    WHERE held.coin = wanted.coin AND held.as_of_ms >= %s AND held.mark_price IS NOT NULL
    ORDER BY held.as_of_ms DESC LIMIT 1
) AS newest
"""
#: The columns of a position that are its episode's; size and entry price are those of both.
EPISODE = ["opened_at_ms", "peak_size", "realised_pnl", "fees"]
ENDED = [
    *("coin", "side", "opened_at_ms", "closed_at_ms", "peak_size", "entry_price"),
    *("gross_pnl", "fees", "funding", "net_pnl", "complete"),
]

Details = dict[str, str | None]
Episodes = dict[str, Episode | None]
Priced = Sequence[tuple[Change, Decimal | None]]


class Statistics:
    """What the applied snapshots of one trader add: `add` each of them, then `write` once."""

    def __init__(self, trader_id: int, ledger: Ledger) -> None:
        """Begin with nothing; the ledger, which the caller has locked, is saved by the caller."""
        self._trader_id = trader_id
        self._ledger = ledger
        self._days: dict[date, TraderDay] = {}
        self._round_trips: list[RoundTrip] = []

    def add(
        self,
        dex: str,
        before: Mapping[str, Position],
        after: Mapping[str, Position],
        changes: Sequence[Change],
        *,
        time_ms: int,
        account_value: Decimal | None,
        later_pnl: Decimal = ZERO,
        is_whole: bool = True,
    ) -> list[Details]:
        """Take in one dex's snapshot: the rows before and after it, and the changes between them.

        The rows after it, as the snapshot tells them, are given their episodes. `later_pnl` is what
        the feed has realised since `time_ms`, less fees: it is in the days already. Not `is_whole`:
        some coin is in doubt, so nothing tells what was earned up to this snapshot, and from it.

        Returns the details of each change's event: `entry_price` before it, `mark_price` where that
        valued it, `funding` earned by a closed position; null: unknown.
        """
        with localcontext(EXACT):
            marks = _marks(changes, after, time_ms)
            priced = [(change, change.price or marks[change.coin]) for change in changes]
            counted = self._realised()
            open_, details = self._play(dex, before, priced, time_ms)
            for coin, row in after.items():
                keep_episode(row, open_.get(coin))
            if not dex:
                earned = self._earned(before, after, priced, open_, later_pnl)
                if not is_whole:
                    earned = self._ledger.unrealised_pnl = None
                doubt = equity.price_doubt(before, priced)
                self._add_equity(self._day(time_ms), account_value, earned, doubt)
            elif self._ledger.realised_pnl is not None:
                # The days have it, the main dex's account value does not.
                others = self._realised() - counted
                self._ledger.realised_pnl = usd(self._ledger.realised_pnl + others)
        return details

    def leave_out(self, history: Outcome) -> None:
        """Tell the main dex's earnings that the stored days have these of another dex as well."""
        if self._ledger.realised_pnl is not None:
            realised = sum((sums.realised_gross for sums in history.days.values()), ZERO)
            self._ledger.realised_pnl = usd(self._ledger.realised_pnl + realised)

    def write(self) -> None:
        """Write all that was added; one statement where nothing has changed."""
        if self._round_trips:
            RoundTrip.objects.bulk_create(self._round_trips)
        days.write(self._days.values())

    def _day(self, time_ms: int) -> TraderDay:
        day = from_ms(time_ms).date()
        return self._days.setdefault(day, TraderDay(trader_id=self._trader_id, day=day))

    def _realised(self) -> Decimal:
        """Return what was added, less fees."""
        return sum((day.realised_gross - day.fees for day in self._days.values()), ZERO)

    def _play(
        self, dex: str, before: Mapping[str, Position], priced: Priced, time_ms: int
    ) -> tuple[Episodes, list[Details]]:
        """Count the changes; return the episodes after them, and the details of each event."""
        day = self._day(time_ms)
        open_: Episodes = {coin: episode_of(row) for coin, row in before.items()}
        details = []
        for change, price in priced:
            episode = open_.get(change.coin)
            funding = _funding(change, before)
            step = episodes.apply(episode, change, price=price, at_ms=time_ms, funding=funding)
            open_[change.coin] = step.episode
            self._count(day, dex, step)
            details.append(_details(change, price, episode, step))
        return open_, details

    def _count(self, day: TraderDay, dex: str, step: episodes.Step) -> None:
        day.events += 1
        day.estimated_events += 1
        day.volume_usd += step.volume
        day.estimated_volume_usd += step.volume
        day.fees += step.fee
        day.realised_gross += step.realised or ZERO
        if ended := step.round_trip:
            self._round_trips.append(round_trip_row(self._trader_id, dex, ended, estimated=True))
            episodes.add_round_trip(day, ended)

    def _earned(
        self,
        before: Mapping[str, Position],
        after: Mapping[str, Position],
        priced: Priced,
        open_: Episodes,
        later_pnl: Decimal,
    ) -> Decimal | None:
        """Return what the main dex's positions have earned since its snapshot before."""
        ledger = self._ledger
        was = equity.Profit(ledger.unrealised_pnl, ledger.realised_pnl)
        total = days.realised_pnl(self._trader_id) + self._realised() - later_pnl
        ledger.realised_pnl = usd(total)
        ledger.unrealised_pnl = equity.unrealised_pnl(
            (row, row.entry_price) for row in after.values()
        )
        # The entry prices told may have moved by what nobody saw: only the episodes' own have moved
        # by what has been counted as realised.
        unrealised = equity.unrealised_pnl(
            (row, _entry_price(row, open_.get(coin))) for coin, row in after.items()
        )
        is_known = all(price is not None for _, price in priced) and all(
            row.entry_price is not None for row in before.values()
        )
        now = equity.Profit(unrealised, ledger.realised_pnl if is_known else None)
        return equity.tracked_pnl(was, now, equity.funding_paid(before, after))

    def _add_equity(
        self, day: TraderDay, value: Decimal | None, earned: Decimal | None, doubt: Decimal
    ) -> None:
        """Follow the account's value, its flows and the index of its returns."""
        day.snapshots += 1
        value = usd(value)
        previous, self._ledger.account_value = self._ledger.account_value, value
        if value is None:
            return
        day.equity_open = value if day.equity_open is None else day.equity_open
        day.equity_close = value
        day.equity_min = day.equity_max = value
        if previous is None:
            return
        flow = equity.inferred_flow(previous, value, earned, doubt)
        day.net_flow += flow
        change = equity.period_return(previous, value, flow)
        if change is None:
            return
        index = equity.START if self._ledger.nav is None else self._ledger.nav
        self._ledger.nav = day.nav_close = equity.chained(index, change)
        day.nav_open = index
        day.nav_min, day.nav_max = min(index, day.nav_close), max(index, day.nav_close)


def episode_of(row: Position) -> Episode:
    """Return the episode of an open position's row, which may have none yet."""
    if row.peak_size is None:
        return episodes.watched_late(positions.Position(row.coin, row.size, row.entry_price))
    return Episode(
        *(row.coin, row.size, row.entry_price, row.opened_at_ms),
        *(row.peak_size, row.realised_pnl, row.fees),
    )


def keep_episode(row: Position, episode: Episode | None) -> None:
    """Put an episode into the columns of its position's row."""
    if episode:
        for name in EPISODE:
            setattr(row, name, getattr(episode, name))


def round_trip_row(
    trader_id: int, dex: str, ended: episodes.RoundTrip, *, estimated: bool
) -> RoundTrip:
    """Return the row of an episode that has ended; `estimated`: no trade has told its prices."""
    told = {name: getattr(ended, name) for name in ENDED}
    return RoundTrip(trader_id=trader_id, dex=dex, estimated=estimated, **told)


def mark_price(held: PositionState) -> Decimal | None:
    """Return the price at which the exchange values a position, None without a sensible one."""
    with localcontext(EXACT):
        price = usd(held.notional / abs(held.signed_size))
    return price if price is not None and price > 0 else None


def _marks(
    changes: Iterable[Change], after: Mapping[str, Position], time_ms: int
) -> dict[str, Decimal | None]:
    """Return a mark price for each coin with a change that has no price of its own."""
    coins = {change.coin for change in changes if not change.price}
    marks = {coin: after[coin].mark_price if coin in after else None for coin in coins}
    gone = sorted(coins - after.keys())
    if gone:
        with connection.cursor() as cursor:
            cursor.execute(NEWEST_MARKS, [gone, time_ms - MARK_LASTS_MS])
            marks.update(cursor.fetchall())
    return marks


def _funding(change: Change, before: Mapping[str, Position]) -> Decimal | None:
    """Return what a position that is closed has earned in funding, None where that is unknown."""
    held = before.get(change.coin)
    paid: Decimal | None = held.funding_since_open if held else None
    return None if paid is None or change.kind != "CLOSE" else -paid


def _entry_price(row: Position, episode: Episode | None) -> Decimal:
    told: Decimal = row.entry_price
    known = episode.entry_price if episode and episode.size == row.size else None
    return told if known is None else known


def _details(
    change: Change, price: Decimal | None, before: Episode | None, step: episodes.Step
) -> Details:
    """Return what an event tells beside its change: all that valued it."""
    details: Details = {}
    if before:
        known = before.entry_price
        details["entry_price"] = None if known is None else plain(known)
    if not change.price:
        details["mark_price"] = None if price is None else plain(price)
    if ended := step.round_trip:
        details["funding"] = None if ended.funding is None else plain(ended.funding)
    return details
