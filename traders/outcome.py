"""What a batch of trades has made, before anything is written (pure). Amounts are USD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache

import msgspec

from hlcopy.clock import from_ms
from traders.episodes import RoundTrip, add_round_trip
from traders.positions import ZERO, Change

MS_OF_A_DAY = 86_400_000


class DaySums(msgspec.Struct):
    """What a batch adds to one trader's day."""

    fills: int = 0
    volume_usd: Decimal = ZERO
    taker_volume_usd: Decimal = ZERO
    unknown_volume_usd: Decimal = ZERO
    wash_volume_usd: Decimal = ZERO
    events: int = 0
    closed: int = 0
    completed: int = 0
    wins: int = 0
    losses: int = 0
    gross_profit: Decimal = ZERO
    gross_loss: Decimal = ZERO
    best_trip_pnl: Decimal | None = None
    worst_trip_pnl: Decimal | None = None
    realised_gross: Decimal = ZERO
    fees: Decimal = ZERO
    held_ms: int = 0

    def add_round_trip(self, trip: RoundTrip) -> None:
        """Count an episode that has ended, as the snapshots' days do."""
        add_round_trip(self, trip)


class NewEvent(msgspec.Struct, frozen=True):
    """A change of a trader's position, as the log is to have it."""

    trader_id: int
    address: str
    change: Change
    source: str
    exchange_time_ms: int
    stale: bool = False
    replayed: bool = False
    details: Mapping[str, str | None] = {}


@dataclass(slots=True)
class Outcome:
    """Everything that a batch makes; holdings that changed say so themselves."""

    days: dict[tuple[int, date], DaySums] = field(default_factory=dict)
    round_trips: list[tuple[int, RoundTrip]] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)
    # (trader, coin, time, signed size, price, whether it took)
    waiting: list[tuple[int, str, int, Decimal, Decimal, bool]] = field(default_factory=list)
    # (trader, coin) that a node has told, so that no fill of them waits any more.
    told: set[tuple[int, str]] = field(default_factory=set)
    # (trader, coin, time, size in the ledger, size that a node told, cause)
    corrections: list[tuple[int, str, int, Decimal, Decimal, str]] = field(default_factory=list)

    # By trader, what its days have realised less fees and its main dex has not; None: unknown.
    left_out: dict[int, Decimal | None] = field(default_factory=dict)

    def leave_out(self, trader_id: int, realised: Decimal | None) -> None:
        """Note what the account's value on the main dex does not show."""
        known = self.left_out.get(trader_id, ZERO)
        self.left_out[trader_id] = None if known is None or realised is None else known + realised

    def day(self, trader_id: int, time_ms: int) -> DaySums:
        """Return the sums of the trader's UTC day."""
        key = (trader_id, _date(time_ms // MS_OF_A_DAY))
        sums = self.days.get(key)
        if sums is None:
            sums = self.days[key] = DaySums()
        return sums


@lru_cache(maxsize=256)
def _date(days: int) -> date:
    """Return the UTC date so many days after 1970 began."""
    return from_ms(days * MS_OF_A_DAY).date()
