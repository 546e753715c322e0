"""How the feed is covered: by socket, by coin, and what nobody has received."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

from traders.columns import amount


class FeedSocket(models.Model):
    """One socket of the stream process, written at least once a second: how the feed is covered."""

    name = models.CharField(max_length=80, primary_key=True)  # host:process/socket
    connected = models.BooleanField(default=False)
    since_at = models.DateTimeField()  # of the present state, connected or not
    seen_at = models.DateTimeField()  # older than 5 s: the process is gone, the socket with it
    coins = ArrayField(models.CharField(max_length=32), default=list)
    newest_block_ms = models.BigIntegerField(null=True)
    trades = models.BigIntegerField(default=0)
    bad_frames = models.BigIntegerField(default=0)
    reconnects = models.IntegerField(default=0)
    last_error = models.CharField(max_length=200, blank=True, default="")
    # Coins that it carried once, and carries no more: {coin: newest block of all when it lost it}.
    lost = models.JSONField(default=dict)

    def __str__(self) -> str:
        """Return the socket's name."""
        return self.name


class FeedDay(models.Model):
    """How long the feed was carried on one UTC day, by any process; see `traders.coverage`."""

    day = models.DateField(primary_key=True)
    covered_seconds = models.FloatField(default=0)
    counted_until = models.DateTimeField()

    def __str__(self) -> str:
        """Return the day and how much of it was carried."""
        return f"{self.day}: {self.covered_seconds:.0f} s"


class FeedCursor(models.Model):
    """How far a coin's trades are counted; whoever counts more of them holds this row's lock."""

    coin = models.CharField(max_length=32, primary_key=True)
    # The window of `traders.cursors`: the newest trades' keys, packed, and the time of the newest
    # trade below them. What is at or below `floor_ms` cannot be told from a repeat.
    keys = models.BinaryField(default=bytes)
    floor_ms = models.BigIntegerField(null=True)
    newest_ms = models.BigIntegerField(null=True)
    # Where the coin's last gap ends: a position is fresh only if its floor is later.
    gap_until_ms = models.BigIntegerField(null=True)
    last_price = amount(null=True)
    trades = models.BigIntegerField(default=0)  # counted, each once
    late = models.BigIntegerField(default=0)  # of them, after a newer one

    def __str__(self) -> str:
        """Return the coin."""
        return self.coin


class ImportedFile(models.Model):
    """How far a node's file of fills is counted, written together with what they make."""

    path = models.TextField(primary_key=True)
    # Of the first line: another file may come to have the same path.
    digest = models.CharField(max_length=64)
    # Bytes of text (not of the packing) that are counted, and lines, of them damaged.
    offset = models.BigIntegerField(default=0)
    lines = models.BigIntegerField(default=0)
    damaged = models.BigIntegerField(default=0)
    newest_ms = models.BigIntegerField(null=True)
    # The coins that are carried without a hole up to there.
    coins = ArrayField(models.CharField(max_length=32), default=list)
    is_finished = models.BooleanField(default=False)  # the next hour's file goes on from here
    counted_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        """Return the path."""
        return self.path


class FeedGap(models.Model):
    """Trades of a coin that nobody has received: after `from_ms`, up to and with `to_ms`."""

    class Reason(models.TextChoices):
        """How it became known."""

        FIRST = "first", "before the first subscription"
        OUTAGE = "outage", "not covered for longer than the replay reaches back"
        LATE = "late", "a trade too late to be told from a repeat"
        OVERFLOW = "overflow", "no room for trades that waited for the database"
        REFUSED = "refused", "a trade that could not be written"
        DRIFT = "drift", "three traders corrected within five minutes"

    coin = models.CharField(max_length=32)
    from_ms = models.BigIntegerField(null=True)  # null: since ever
    to_ms = models.BigIntegerField()
    reason = models.CharField(max_length=8, choices=Reason)
    noted_at = models.DateTimeField()
    # Everybody who held the coin stands in the healing queue since then.
    queued_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        """Those of one coin, the newest of all, and those that healing has yet to see."""

        indexes = [
            models.Index("coin", "to_ms", name="gaps_of_coin"),
            models.Index("noted_at", name="gap_noted"),
            models.Index("reason", models.F("id").desc(), name="gaps_by_reason"),
            models.Index("id", name="gap_unqueued", condition=models.Q(queued_at__isnull=True)),
        ]

    def __str__(self) -> str:
        """Return the coin, the times and the reason."""
        return f"{self.coin} {self.from_ms} to {self.to_ms}: {self.reason}"
