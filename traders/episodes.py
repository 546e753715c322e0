"""What one position earns from flat to flat (pure).

An episode begins when a position is opened and ends when it is flat again; a flip ends one and
begins the next. Average-entry rule, as in `traders.positions`: a reduction by q of a position with
entry price e realises sign * (price - e) * q, and the entry price stays.

Amounts are USD, kept to 18 decimals; one beyond `LARGEST_USD`, which nobody earns, is unknown.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Literal, Protocol

import msgspec

from traders import positions
from traders.positions import ZERO, Change

#: The exchange's rates without discounts, on the notional; it writes no fees publicly.
TAKER_FEE = Decimal("0.00045")
MAKER_FEE = Decimal("0.00015")
LARGEST_USD = Decimal(10) ** 15
_SMALLEST_USD = -LARGEST_USD
#: For products of two columns of 38 digits and sums of them: nothing is cut.
EXACT = Context(prec=120, rounding=ROUND_HALF_EVEN)
_STEP = Decimal("1E-18")


class Episode(msgspec.Struct, frozen=True, gc=False):
    """An open position since it was flat; `opened_at_ms` is None if that was not watched.

    `size` is signed. `entry_price` is None where nothing has told it. `realised_pnl` is what its
    reductions have brought so far, before fees, and None once one of them had no known price.
    """

    coin: str
    size: Decimal
    entry_price: Decimal | None
    opened_at_ms: int | None
    peak_size: Decimal
    realised_pnl: Decimal | None = ZERO
    fees: Decimal = ZERO


class RoundTrip(msgspec.Struct, frozen=True, gc=False):
    """An episode that has ended; `funding` is above zero where it was earned."""

    coin: str
    side: Literal["LONG", "SHORT"]
    opened_at_ms: int | None
    closed_at_ms: int
    peak_size: Decimal
    entry_price: Decimal | None
    gross_pnl: Decimal | None
    fees: Decimal
    funding: Decimal | None

    @property
    def complete(self) -> bool:
        """Whether it was watched from its beginning: only then is its result all of it."""
        return self.opened_at_ms is not None

    @property
    def held_ms(self) -> int | None:
        """How long it was held, None where its beginning is unknown; late trades take no time."""
        if self.opened_at_ms is None:
            return None
        return max(0, self.closed_at_ms - self.opened_at_ms)

    @property
    def net_pnl(self) -> Decimal | None:
        """What is left after fees and funding; unknown funding counts as none."""
        if self.gross_pnl is None:
            return None
        with localcontext(EXACT):
            return usd(self.gross_pnl - self.fees + (self.funding or ZERO))


class Step(msgspec.Struct, frozen=True, gc=False):
    """What one change makes of an episode: it goes on, or it has become a round trip.

    `volume` and `fee` are 0 where the price is unknown; `realised` is None then if the position was
    reduced, and 0 where it was not.
    """

    episode: Episode | None
    round_trip: RoundTrip | None
    realised: Decimal | None
    volume: Decimal
    fee: Decimal


class Sums(Protocol):
    """The columns of a day that round trips add to."""

    closed: int
    completed: int
    wins: int
    losses: int
    gross_profit: Decimal
    gross_loss: Decimal
    best_trip_pnl: Decimal | None
    worst_trip_pnl: Decimal | None
    held_ms: int


def watched_late(position: positions.Position) -> Episode:
    """Return the episode of a position that was there before its trader was watched."""
    return Episode(position.coin, position.size, position.entry_price, None, abs(position.size))


def apply(
    episode: Episode | None,
    change: Change,
    *,
    price: Decimal | None,
    at_ms: int,
    fee_rate: Decimal = TAKER_FEE,
    funding: Decimal | None = None,
) -> Step:
    """Return what a change at `price` makes of the episode, which is None where it was flat.

    `fee_rate` is on the notional, by the roles in it; `funding` is the whole episode's and belongs
    to a CLOSE. Raises ValueError for a change that does not begin where the episode stands.
    """
    size_before = episode.size if episode else ZERO
    if change.size_before != size_before or (episode and episode.coin != change.coin):
        raise ValueError(f"{change} does not follow on {episode}")
    moved = EXACT.subtract(change.size_after, size_before)
    volume = None if price is None else usd(EXACT.multiply(moved.copy_abs(), price))
    if volume is None:
        price = None
    fee = ZERO if volume is None else usd(EXACT.multiply(volume, fee_rate)) or ZERO
    if episode is None or change.size_after.copy_abs() > size_before.copy_abs():
        grown = _grow(episode, change, price, at_ms, fee)
        return Step(grown, None, ZERO, volume or ZERO, fee)
    realised = None
    if price is not None and episode.entry_price is not None:
        gained = EXACT.subtract(episode.entry_price, price)
        realised = usd(EXACT.multiply(moved, gained))
    reduced = Episode(
        *(episode.coin, change.size_after, episode.entry_price, episode.opened_at_ms),
        *(episode.peak_size, _sum(episode.realised_pnl, realised), EXACT.add(episode.fees, fee)),
    )
    if change.size_after:
        return Step(reduced, None, realised, volume or ZERO, fee)
    round_trip = _end(reduced, size_before, at_ms, funding)
    return Step(None, round_trip, realised, volume or ZERO, fee)


def add_round_trip(day: Sums, ended: RoundTrip) -> None:
    """Count an episode on the day of its end; unknown or incomplete results are in no win rate."""
    day.closed += 1
    if not ended.complete:
        return
    day.completed += 1
    day.held_ms += ended.held_ms or 0
    net = ended.net_pnl
    if net is None:
        return
    day.best_trip_pnl = net if day.best_trip_pnl is None else max(day.best_trip_pnl, net)
    day.worst_trip_pnl = net if day.worst_trip_pnl is None else min(day.worst_trip_pnl, net)
    if net > 0:
        day.wins += 1
        day.gross_profit += net
    elif net < 0:
        day.losses += 1
        day.gross_loss -= net


def usd(amount: Decimal | None) -> Decimal | None:
    """Return an amount to 18 decimals, None where it is unknown or beyond all reason."""
    if amount is None or not _SMALLEST_USD <= amount <= LARGEST_USD:
        return None
    return amount.quantize(_STEP, None, EXACT)


def _grow(
    episode: Episode | None, change: Change, price: Decimal | None, at_ms: int, fee: Decimal
) -> Episode:
    """Open the episode or add to it; without a price its result can never be known."""
    size = change.size_after.copy_abs()
    if episode is None:
        entry = ZERO if price is None else price
        realised = None if price is None else ZERO
        return Episode(change.coin, change.size_after, entry, at_ms, size, realised, fee)
    entry_price, realised_pnl = episode.entry_price, episode.realised_pnl
    if price is None:
        realised_pnl = None
    else:
        entry_price = positions.average_entry(
            episode.size, entry_price, EXACT.subtract(change.size_after, episode.size), price
        )
    return Episode(
        *(episode.coin, change.size_after, entry_price, episode.opened_at_ms),
        *(max(episode.peak_size, size), realised_pnl, EXACT.add(episode.fees, fee)),
    )


def _sum(so_far: Decimal | None, realised: Decimal | None) -> Decimal | None:
    return None if so_far is None or realised is None else usd(EXACT.add(so_far, realised))


def _end(episode: Episode, last_size: Decimal, at_ms: int, funding: Decimal | None) -> RoundTrip:
    return RoundTrip(
        episode.coin,
        "LONG" if last_size > 0 else "SHORT",
        episode.opened_at_ms,
        at_ms,
        episode.peak_size,
        episode.entry_price,
        episode.realised_pnl,
        episode.fees,
        funding,
    )
