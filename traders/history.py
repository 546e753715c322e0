"""What traders have achieved: their closed episodes, and their days.

An episode is what happens to one coin from flat to flat; a flip ends one and begins the next.
The open ones are their positions' rows. Amounts are USD; which are estimated: docs/scoring.md.
"""

from __future__ import annotations

from decimal import Decimal

from django.db import models
from django.db.models import F

from traders.columns import amount


class RoundTrip(models.Model):
    """An episode that has ended: a position from flat to flat. Append-only."""

    class Side(models.TextChoices):
        """What was held."""

        LONG = "LONG"
        SHORT = "SHORT"

    # No key in the database: the ledger's row, which its writer holds, has it.
    trader = models.ForeignKey(
        "traders.Trader",
        on_delete=models.CASCADE,
        related_name="round_trips",
        db_constraint=False,
        db_index=False,
    )
    dex = models.CharField(max_length=16, blank=True, default="")
    coin = models.CharField(max_length=32)
    side = models.CharField(max_length=5, choices=Side)
    # Between snapshots, a change has the time of the later one. Null where not complete.
    opened_at_ms = models.BigIntegerField(null=True)
    closed_at_ms = models.BigIntegerField()
    peak_size = amount()
    entry_price = amount(null=True)  # null where nothing told it
    gross_pnl = amount(null=True)  # null where nothing tells at which price it was reduced
    fees = amount()
    funding = amount(null=True)  # above zero: earned; null where no snapshot told it
    net_pnl = amount(null=True)  # gross - fees + funding (unknown: 0); null with the gross PnL
    # False: it began before the trader was watched. Such ones are in no win rate.
    complete = models.BooleanField()
    estimated = models.BooleanField()

    class Meta:
        """Those of one trader, newest first."""

        indexes = [
            models.Index("trader", F("closed_at_ms").desc(), name="round_trips_of_trader"),
        ]

    def __str__(self) -> str:
        """Return what was held, and what it brought."""
        return f"{self.side} {self.coin}: {self.net_pnl}"


class TraderDay(models.Model):
    """One UTC day of a trader, by the exchange's time; all of it can be added up over days.

    Sums are over all dexes; equity, return index and flow are the main dex's alone.
    """

    # No key in the database: the ledger's row, which its writer holds, has it.
    trader = models.ForeignKey(
        "traders.Trader",
        on_delete=models.CASCADE,
        related_name="days",
        db_constraint=False,
        db_index=False,
    )
    day = models.DateField()
    volume_usd = amount(default=Decimal(0))
    # What the feed has shown: both sides of every trade, positions known or not.
    fills = models.IntegerField(default=0)
    taker_volume_usd = amount(default=Decimal(0))
    # Of fills while the position was unknown, so that nothing tells what they have earned.
    unknown_volume_usd = amount(default=Decimal(0))
    wash_volume_usd = amount(default=Decimal(0))  # the trader on both sides; in no other column
    events = models.IntegerField(default=0)
    # Of the events and the volume, what snapshots alone have shown: all of it is estimated.
    estimated_events = models.IntegerField(default=0, db_default=0)
    estimated_volume_usd = amount(default=Decimal(0), db_default=Decimal(0))
    closed = models.IntegerField(default=0)  # round trips of every kind
    completed = models.IntegerField(default=0, db_default=0)  # of them, the complete ones
    # Of complete round trips with a known net PnL: above zero, below zero (0 is in neither).
    wins = models.IntegerField(default=0)
    losses = models.IntegerField(default=0)
    gross_profit = amount(default=Decimal(0))  # sum of the wins' net PnL
    gross_loss = amount(default=Decimal(0))  # sum of the losses' net PnL, without its sign
    best_trip_pnl = amount(null=True)  # the largest net PnL of a complete round trip
    worst_trip_pnl = amount(null=True)
    held_ms = models.BigIntegerField(default=0)  # sum over complete round trips, open to close
    realised_gross = amount(default=Decimal(0))  # of every reduction, before fees and funding
    fees = amount(default=Decimal(0))
    equity_open = amount(null=True)
    equity_close = amount(null=True)
    equity_min = amount(null=True)
    equity_max = amount(null=True)
    # The index of the chained returns, 1 at the first equity; null until there is a return.
    # `nav_open` is the index before the day's first return, the close of an earlier day.
    nav_open = amount(null=True)
    nav_close = amount(null=True)
    nav_min = amount(null=True)
    nav_max = amount(null=True)
    net_flow = amount(default=Decimal(0))  # inferred deposits less withdrawals
    snapshots = models.IntegerField(default=0)  # applied ones of the main dex
    # A row that `traders.retention` made of many days has the last one's date, the first one's
    # here, and the largest fall of the index within them as a share. Null: one day.
    folded_since = models.DateField(null=True, blank=True)
    drawdown = amount(null=True)

    class Meta:
        """One row for each trader and day."""

        constraints = [
            models.UniqueConstraint(fields=["trader", "day"], name="one_row_per_trader_and_day")
        ]

    def __str__(self) -> str:
        """Return the trader's number and the day."""
        return f"trader {self.trader_id} on {self.day}"
