"""What is known of a trader's positions, and what speaks against it."""

from __future__ import annotations

from django.db import models

from traders.columns import amount


class Ledger(models.Model):
    """What is known of a trader's positions; whoever changes them holds this row's lock.

    A coin's *floor* is the exchange time up to which a snapshot (or a node's fill) has told its
    size: its dex's, or its own in `bases`, whichever is later. No floor: nothing is known. A coin
    in `doubts` is known only up to the floor that stands there, null: not at all.
    """

    trader = models.OneToOneField("traders.Trader", on_delete=models.CASCADE, primary_key=True)
    # dex -> state time in milliseconds of the newest snapshot that was applied.
    floors = models.JSONField(default=dict)
    # coin -> time in milliseconds of the fill that told its size before and after.
    bases = models.JSONField(default=dict, blank=True)
    # coin -> {"floor", "at", "sizes", "cut", "fresh"}: `traders.doubts`.
    doubts = models.JSONField(default=dict, blank=True)
    # dex -> state time of a snapshot without any position, which a second one must confirm.
    emptied = models.JSONField(default=dict, blank=True)
    # The main dex's account value at its floor, null where unknown, and the index of its returns.
    account_value = amount(null=True)
    nav = amount(null=True)
    # At that floor: what the open positions were worth more, and what all days had realised after
    # fees; null where unknown.
    unrealised_pnl = amount(null=True)
    realised_pnl = amount(null=True)

    class Meta:
        """Largest accounts."""

        indexes = [
            # /api/v1/traders?ordering=account_value.
            models.Index(
                "account_value",
                "trader",
                name="ledger_account_value",
                condition=models.Q(account_value__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        """Return the trader's number."""
        return f"ledger of trader {self.pk}"


class WaitingFill(models.Model):
    """One side of a trade whose trader's position is not known yet: no event, no kind.

    It is kept until a snapshot tells the position, at most a day and 200 of one coin.
    """

    # No key in the database: the stream process adds them by the thousand.
    trader_id = models.BigIntegerField()
    coin = models.CharField(max_length=32)
    time_ms = models.BigIntegerField()
    size = amount()  # signed: above zero bought
    price = amount()
    is_taker = models.BooleanField()

    class Meta:
        """In the order of the feed, by trader and coin."""

        indexes = [models.Index("trader_id", "coin", "time_ms", "id", name="waiting_fills")]

    def __str__(self) -> str:
        """Return the trader's number, the size and the coin."""
        return f"trader {self.trader_id}: {self.size} {self.coin}"


class Correction(models.Model):
    """A position that two snapshots have shown to be another than the feed told. Append-only."""

    class Cause(models.TextChoices):
        """Why the feed did not tell."""

        GAP = "gap", "a gap is known, or another doubt"
        DRIFT = "drift", "nothing spoke against it"

    trader = models.ForeignKey(
        "traders.Trader", on_delete=models.CASCADE, related_name="corrections", db_index=False
    )
    coin = models.CharField(max_length=32)
    corrected_at = models.DateTimeField()
    state_time_ms = models.BigIntegerField()  # of the snapshot
    ledger_size = amount()  # what the feed had told of that time
    snapshot_size = amount()
    cause = models.CharField(max_length=8, choices=Cause)

    class Meta:
        """Newest first; those of a coin, for the gap that three of them mean."""

        indexes = [
            models.Index("corrected_at", name="correction_made"),
            models.Index("coin", "corrected_at", name="corrections_of_coin"),
            models.Index("trader", models.F("id").desc(), name="corrections_of_trader"),
            # The number that says whether the feed tells the truth.
            models.Index("corrected_at", name="drift", condition=models.Q(cause="drift")),
        ]

    def __str__(self) -> str:
        """Return the coin and both sizes."""
        return f"{self.coin}: {self.ledger_size} to {self.snapshot_size}"
