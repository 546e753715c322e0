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
from traders import episodes, equity, positions
from traders.episodes import EXACT, Episode, usd
from traders.models import Ledger, OpenEpisode, Position, RoundTrip, TraderDay
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
# LEAST and GREATEST pass over null.
ADD_TO_DAY = """
INSERT INTO traders_traderday AS kept (
    trader_id, day, volume_usd, events, closed, wins, losses, gross_profit, gross_loss,
    realised_gross, fees, equity_open, equity_close, equity_min, equity_max,
    nav_open, nav_close, nav_min, nav_max, net_flow, snapshots
) VALUES (
    %(trader_id)s, %(day)s, %(volume_usd)s, %(events)s, %(closed)s, %(wins)s, %(losses)s,
    %(gross_profit)s, %(gross_loss)s, %(realised_gross)s, %(fees)s,
    %(equity_open)s, %(equity_close)s, %(equity_min)s, %(equity_max)s,
    %(nav_open)s, %(nav_close)s, %(nav_min)s, %(nav_max)s, %(net_flow)s, %(snapshots)s
) ON CONFLICT (trader_id, day) DO UPDATE SET
    volume_usd = kept.volume_usd + excluded.volume_usd,
    events = kept.events + excluded.events,
    closed = kept.closed + excluded.closed,
    wins = kept.wins + excluded.wins,
    losses = kept.losses + excluded.losses,
    gross_profit = kept.gross_profit + excluded.gross_profit,
    gross_loss = kept.gross_loss + excluded.gross_loss,
    realised_gross = kept.realised_gross + excluded.realised_gross,
    fees = kept.fees + excluded.fees,
    equity_open = coalesce(kept.equity_open, excluded.equity_open),
    equity_close = coalesce(excluded.equity_close, kept.equity_close),
    equity_min = least(kept.equity_min, excluded.equity_min),
    equity_max = greatest(kept.equity_max, excluded.equity_max),
    nav_open = coalesce(kept.nav_open, excluded.nav_open),
    nav_close = coalesce(excluded.nav_close, kept.nav_close),
    nav_min = least(kept.nav_min, excluded.nav_min),
    nav_max = greatest(kept.nav_max, excluded.nav_max),
    net_flow = kept.net_flow + excluded.net_flow,
    snapshots = kept.snapshots + excluded.snapshots
"""

Details = dict[str, str | None]


class Statistics:
    """What the applied snapshots of one trader add: `add` each of them, then `write` once."""

    def __init__(self, trader_id: int, ledger: Ledger) -> None:
        """Begin with nothing; the ledger, which the caller has locked, is saved by the caller."""
        self._trader_id = trader_id
        self._ledger = ledger
        self._days: dict[date, TraderDay] = {}
        self._episodes: dict[str, Episode | None] = {}
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
    ) -> list[Details]:
        """Take in one dex's snapshot: the rows before and after it, and the changes between them.

        Returns the details of each change's event: `entry_price` before it, `mark_price` where that
        valued it, `funding` earned by a closed position; null: unknown. Call it before the rows
        are written.
        """
        day = self._day(time_ms)
        with localcontext(EXACT):
            self._load_episodes(changes, before)
            marks = _marks(changes, after, time_ms)
            priced = [(change, change.price or marks[change.coin]) for change in changes]
            fees_before = day.fees
            details = [
                self._step(
                    *(day, change, price),
                    dex=dex,
                    held=before.get(change.coin),
                    time_ms=time_ms,
                )
                for change, price in priced
            ]
            if not dex:
                earned, doubt = equity.tracked_pnl(before, after, priced, day.fees - fees_before)
                self._add_equity(day, account_value, earned, doubt)
        return details

    def write(self) -> None:
        """Write all that was added; one statement where nothing has changed."""
        going_on = [
            _open_episode(self._trader_id, episode)
            for episode in self._episodes.values()
            if episode is not None
        ]
        if going_on:
            OpenEpisode.objects.bulk_create(
                going_on,
                update_conflicts=True,
                unique_fields=["trader", "coin"],
                update_fields=[
                    *("size", "entry_price", "opened_at_ms", "peak_size", "gross_pnl", "fees")
                ],
            )
        ended = [coin for coin, episode in self._episodes.items() if episode is None]
        if ended:
            OpenEpisode.objects.filter(trader_id=self._trader_id, coin__in=ended).delete()
        if self._round_trips:
            RoundTrip.objects.bulk_create(self._round_trips)
        with connection.cursor() as cursor:
            for _, day in sorted(self._days.items()):
                cursor.execute(ADD_TO_DAY, vars(day))

    def _day(self, time_ms: int) -> TraderDay:
        day = from_ms(time_ms).date()
        return self._days.setdefault(day, TraderDay(trader_id=self._trader_id, day=day))

    def _load_episodes(self, changes: Sequence[Change], before: Mapping[str, Position]) -> None:
        """Read the episodes of what changes; a row that does not fit the position is not true."""
        coins = {change.coin for change in changes}
        if not coins:
            return
        known = {
            row.coin: row
            for row in OpenEpisode.objects.filter(trader_id=self._trader_id, coin__in=coins)
        }
        for coin in coins:
            held, row = before.get(coin), known.get(coin)
            if held is None:
                self._episodes[coin] = None
            elif row is not None and row.size == held.size:
                self._episodes[coin] = _episode(row)
            else:
                self._episodes[coin] = episodes.watched_late(
                    positions.Position(coin, held.size, held.entry_price)
                )

    def _step(
        self,
        day: TraderDay,
        change: Change,
        price: Decimal | None,
        *,
        dex: str,
        held: Position | None,
        time_ms: int,
    ) -> Details:
        """Count one change; return the details of its event."""
        episode = self._episodes[change.coin]
        funding = None
        if change.kind == "CLOSE" and held and held.funding_since_open is not None:
            funding = -held.funding_since_open
        step = episodes.apply(episode, change, price=price, at_ms=time_ms, funding=funding)
        self._episodes[change.coin] = step.episode
        day.events += 1
        day.volume_usd += step.volume
        day.fees += step.fee
        day.realised_gross += step.realised or ZERO
        if step.round_trip:
            self._round_trips.append(_round_trip(self._trader_id, dex, step.round_trip))
            _count(day, step.round_trip)
        details: Details = {}
        if episode:
            details["entry_price"] = plain(episode.entry_price)
        if not change.price:
            details["mark_price"] = None if price is None else plain(price)
        if step.round_trip:
            details["funding"] = None if funding is None else plain(funding)
        return details

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


def _count(day: TraderDay, round_trip: episodes.RoundTrip) -> None:
    """Count an episode that has ended; whose result is unknown or not whole is in no win rate."""
    day.closed += 1
    net = round_trip.net_pnl
    if net is None or not round_trip.complete:
        return
    if net > 0:
        day.wins += 1
        day.gross_profit += net
    elif net < 0:
        day.losses += 1
        day.gross_loss -= net


def _episode(row: OpenEpisode) -> Episode:
    return Episode(
        *(row.coin, row.size, row.entry_price, row.opened_at_ms),
        *(row.peak_size, row.gross_pnl, row.fees),
    )


def _open_episode(trader_id: int, episode: Episode) -> OpenEpisode:
    return OpenEpisode(
        trader_id=trader_id,
        coin=episode.coin,
        size=episode.size,
        entry_price=episode.entry_price,
        opened_at_ms=episode.opened_at_ms,
        peak_size=episode.peak_size,
        gross_pnl=episode.gross_pnl,
        fees=episode.fees,
    )


def _round_trip(trader_id: int, dex: str, ended: episodes.RoundTrip) -> RoundTrip:
    return RoundTrip(
        trader_id=trader_id,
        dex=dex,
        coin=ended.coin,
        side=ended.side,
        opened_at_ms=ended.opened_at_ms,
        closed_at_ms=ended.closed_at_ms,
        peak_size=ended.peak_size,
        entry_price=ended.entry_price,
        gross_pnl=ended.gross_pnl,
        fees=ended.fees,
        funding=ended.funding,
        net_pnl=ended.net_pnl,
        complete=ended.complete,
        estimated=True,
    )
