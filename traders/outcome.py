"""What a batch of trades has made, before anything is written (pure). Amounts are USD."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

from hlcopy.clock import from_ms
from traders.episodes import RoundTrip, add_round_trip
from traders.positions import ZERO, Change


@dataclass(slots=True)
class DaySums:
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


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """A change that the feed has told."""

    trader_id: int
    change: Change
    time_ms: int
    stale: bool
    replayed: bool
    details: dict[str, str | None]
    source: Literal["feed", "snapshot"] = "feed"


@dataclass(slots=True)
class Outcome:
    """Everything that a batch makes; holdings that changed say so themselves."""

    days: dict[tuple[int, date], DaySums] = field(default_factory=dict)
    round_trips: list[tuple[int, RoundTrip]] = field(default_factory=list)
    events: list[FeedEvent] = field(default_factory=list)
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
        key = (trader_id, from_ms(time_ms).date())
        sums = self.days.get(key)
        if sums is None:
            sums = self.days[key] = DaySums()
        return sums
