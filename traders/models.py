"""The book: who trades, what they hold, what changed, and how well the feed is covered."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from traders.columns import amount
from traders.feed import FeedCursor, FeedDay, FeedGap, FeedSocket, ImportedFile
from traders.history import RoundTrip, TraderDay
from traders.standing import Correction, Ledger, WaitingFill

__all__ = [
    "AccountSnapshot",
    "Coin",
    "Correction",
    "EventHead",
    "FeedCursor",
    "FeedDay",
    "FeedGap",
    "FeedSocket",
    "Healing",
    "ImportedFile",
    "Ledger",
    "Position",
    "PositionEvent",
    "RoundTrip",
    "Trader",
    "TraderDay",
    "WaitingFill",
]

ADDRESS = r"^0x[0-9a-f]{40}$"


def main_dex() -> list[str]:
    """Return the dexes of a new trader: every account has one on the main dex, named ''."""
    return [""]


class Coin(models.Model):
    """One perpetual that the exchange lists, or listed once; a builder's coin is `dex:NAME`."""

    name = models.CharField(max_length=32, unique=True)
    dex = models.CharField(max_length=16, blank=True, default="")
    size_decimals = models.PositiveSmallIntegerField()
    max_leverage = models.PositiveSmallIntegerField(null=True)
    is_delisted = models.BooleanField(default=False)
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        """Return the coin's name."""
        return self.name


class Healing(models.TextChoices):
    """Why a trader is looked at before its turn."""

    GAP = "gap", "held a coin whose trades were missed"
    BASE = "base", "a position is not known yet"
    DOUBT = "doubt", "a difference needs its second look"


class Trader(models.Model):
    """An account that was seen in the trade feed (a master, a sub-account or a vault)."""

    address = models.CharField(max_length=42, unique=True)
    first_seen_at = models.DateTimeField()
    # The dexes on which it was seen trading: a snapshot speaks for its own dex alone.
    dexes = ArrayField(models.CharField(max_length=16, blank=True), default=main_dex)
    last_tracked_at = models.DateTimeField(null=True, blank=True)
    # Tracking: who fetches it now, and until when that is believed.
    lease_token = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    # Claims since the last one that came to an end: 3 that never did put the trader in quarantine.
    unfinished_claims = models.PositiveSmallIntegerField(default=0)
    failures = models.PositiveSmallIntegerField(default=0)
    # Set: out of the rotation and due then, for another try or for the second look at an account.
    retry_at = models.DateTimeField(null=True, blank=True)
    # Why it stands in the healing queue, with its time in `retry_at`; empty: it does not.
    healing = models.CharField(max_length=8, blank=True, default="", db_default="", choices=Healing)
    last_error = models.CharField(max_length=200, blank=True, default="")
    quarantined_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        """The rotation's index, and the address in its one spelling."""

        constraints = [
            models.CheckConstraint(
                condition=Q(address__regex=ADDRESS), name="address_is_lower_case_hex"
            )
        ]
        indexes = [
            # /api/v1/traders?ordering=last_tracked_at; nothing to write for a new trader.
            models.Index(
                "last_tracked_at",
                "id",
                name="trader_tracked",
                condition=Q(last_tracked_at__isnull=False),
            ),
            # claims.claim: most overdue first, never tracked before all others.
            models.Index(
                F("last_tracked_at").asc(nulls_first=True),
                "id",
                name="trader_rotation",
                condition=Q(quarantined_at__isnull=True, retry_at__isnull=True),
            ),
            # claims.claim: those with a time of their own. However many back off, the rotation's
            # index does not hold them, so its head stays short.
            models.Index(
                "retry_at",
                "id",
                name="trader_retry",
                condition=Q(quarantined_at__isnull=True, retry_at__isnull=False),
            ),
            # The admin's filters: few rows, which else were looked for among all.
            models.Index("id", name="trader_failing", condition=Q(failures__gt=0)),
            models.Index("id", name="trader_healing", condition=~Q(healing="")),
            models.Index(
                "id", name="trader_quarantined", condition=Q(quarantined_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        """Return the address."""
        return self.address


class Position(models.Model):
    """What a trader holds of one coin, since it was last flat; a closed position has no row."""

    # No key in the database: the ledger's row, which its writer holds, has it.
    trader = models.ForeignKey(
        Trader,
        on_delete=models.CASCADE,
        related_name="positions",
        db_constraint=False,
        db_index=False,
    )
    dex = models.CharField(max_length=16, blank=True, default="")
    coin = models.CharField(max_length=32)
    size = amount()  # signed: above zero long, below zero short
    entry_price = amount(null=True)  # null: only a node's fill has told the size
    # The episode, from flat to now: `traders.episodes`.
    opened_at_ms = models.BigIntegerField(null=True)  # null: before the trader was watched
    peak_size = amount(null=True)  # the largest absolute size
    realised_pnl = amount(null=True)  # of what was reduced; null once a price is unknown
    fees = amount(default=Decimal(0))
    # Only a snapshot knows the following; they are as old as `as_of_ms`, null before the first.
    notional = amount(null=True)
    unrealised_pnl = amount(null=True)
    leverage = models.PositiveSmallIntegerField(null=True, blank=True)
    leverage_type = models.CharField(max_length=16, blank=True, default="")
    margin_used = amount(null=True)
    liquidation_price = amount(null=True)
    mark_price = amount(null=True)
    funding_since_open = amount(null=True)  # above zero: the trader has paid it
    as_of_ms = models.BigIntegerField(null=True)

    class Meta:
        """One net position for each trader and coin, never of size zero."""

        constraints = [
            models.UniqueConstraint(fields=["trader", "coin"], name="one_position_per_coin"),
            models.CheckConstraint(condition=~Q(size=0), name="position_is_not_flat"),
        ]
        indexes = [
            # statistics.marks: a coin's newest mark price, whoever holds it. Who holds a coin:
            # healing.QUEUE after a gap, and /api/v1/traders?coin=.
            models.Index("coin", F("as_of_ms").desc(), name="position_mark"),
        ]

    def __str__(self) -> str:
        """Return the size and the coin."""
        return f"{self.size} {self.coin}"


class AccountSnapshot(models.Model):
    """One reply of the exchange about an account: the history of its equity, in partitions."""

    # No key in the database: to add or drop a partition would lock the traders' table.
    trader = models.ForeignKey(
        Trader,
        on_delete=models.CASCADE,
        related_name="snapshots",
        db_constraint=False,
        db_index=False,
    )
    dex = models.CharField(max_length=16, blank=True, default="")
    state_time_ms = models.BigIntegerField()
    fetched_at = models.DateTimeField()
    # Null where the account is unified and its spot side, which holds the money, is unknown.
    account_value = amount(null=True)
    total_notional = amount()
    margin_used = amount()
    withdrawable = amount(null=True)
    positions = models.PositiveSmallIntegerField()
    applied = models.BooleanField()  # False: older than the floor, or waiting for a second look

    class Meta:
        """The series of one account."""

        indexes = [
            # The equity of a trader, newest first.
            models.Index("trader", "dex", F("state_time_ms").desc(), name="snapshot_series"),
        ]

    def __str__(self) -> str:
        """Return the trader's number and the state's time."""
        return f"trader {self.trader_id} at {self.state_time_ms}"


class EventHead(models.Model):
    """The number of the newest event: one row, incremented inside the writing transaction.

    That makes the numbers gapless and gives them the order of the commits, which a sequence does
    not (a reader of a sequence misses rows that commit late).
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    head = models.BigIntegerField(default=0)
    # Changes when the log is restored or begun anew: a client that resumes must start afresh.
    epoch = models.UUIDField(default=uuid.uuid4)

    class Meta:
        """There is exactly one."""

        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_event_head")]

    def __str__(self) -> str:
        """Return the newest number."""
        return str(self.head)


class PositionEvent(models.Model):
    """One change of one position, in partitions by id (`traders.partitions`).

    Append-only; no foreign key, so that writing takes no locks.
    """

    class Kind(models.TextChoices):
        """What happened to the position; a flip through zero is CLOSE, then OPEN."""

        OPEN = "OPEN"
        INCREASE = "INCREASE"
        DECREASE = "DECREASE"
        CLOSE = "CLOSE"

    class Side(models.TextChoices):
        """The direction of the change."""

        BUY = "BUY"
        SELL = "SELL"

    class Source(models.TextChoices):
        """How it became known."""

        FEED = "feed"
        SNAPSHOT = "snapshot"

    id = models.BigIntegerField(primary_key=True)
    created_at = models.DateTimeField()
    trader_id = models.BigIntegerField()
    trader_address = models.CharField(max_length=42)
    kind = models.CharField(max_length=8, choices=Kind)
    coin = models.CharField(max_length=32)
    side = models.CharField(max_length=4, choices=Side)
    size_before = amount()
    size_after = amount()
    price = amount(null=True)  # volume-weighted; null where no trade or entry price implies one
    source = models.CharField(max_length=8, choices=Source)
    stale = models.BooleanField(default=False)
    replayed = models.BooleanField(default=False)
    exchange_time_ms = models.BigIntegerField()
    details = models.JSONField(default=dict)

    class Meta:
        """Newest first."""

        ordering = ["-id"]
        indexes = [
            # /traders/{id}/events: one trader's events, newest first.
            models.Index("trader_id", F("id").desc(), name="event_of_trader"),
        ]

    def __str__(self) -> str:
        """Return the number and the kind."""
        return f"{self.pk} {self.kind} {self.coin}"
