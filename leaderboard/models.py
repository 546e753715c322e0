"""Boards and their rows: what each publication of the leaderboard said."""

from __future__ import annotations

from django.db import models
from django.db.models import F

from traders.models import Trader


class Board(models.Model):
    """One published ranking of all traders in one window; its number is its generation.

    The newest of a preset and window is the one that is shown. Its weights and bounds are kept, so
    that every score on it can be explained to the last digit.
    """

    preset = models.CharField(max_length=16)
    window = models.CharField(max_length=3)  # days, or all
    weights = models.JSONField()
    weights_hash = models.CharField(max_length=12)
    bounds = models.JSONField(default=dict)
    # Of each UTC day since the window began, for how many seconds the feed was carried; a day that
    # is not there is unknown.
    feed_days = models.JSONField(default=dict)
    traders = models.PositiveIntegerField(default=0)
    updated_at = models.DateTimeField()

    class Meta:
        """The newest of a preset and window is found by index."""

        indexes = [models.Index("preset", "window", F("id").desc(), name="newest_board")]

    def __str__(self) -> str:
        """Return the preset, the window and the generation."""
        return f"{self.preset} {self.window} #{self.pk}"


class LeaderboardMetric(models.Model):
    """The metrics, the score and the rank of one trader on one board.

    A partition for each board, made and filled by `ranking` and never changed: a reader who names
    a generation gets all of it or nothing. `id` is generation * 2^32 + rank.
    """

    id = models.BigIntegerField(primary_key=True)
    board = models.ForeignKey(Board, models.DO_NOTHING, db_column="generation", related_name="+")
    trader = models.ForeignKey(Trader, models.DO_NOTHING, related_name="+")
    rank = models.IntegerField()
    trader_score = models.FloatField()
    account_age_days = models.FloatField()
    total_volume_usd = models.FloatField(null=True)
    win_rate = models.FloatField(null=True)
    win_rate_wilson = models.FloatField(null=True)
    risk_ratio = models.FloatField(null=True)
    max_drawdown = models.FloatField(null=True)
    net_pnl = models.FloatField(null=True)
    realised_pnl = models.FloatField(null=True)
    closed_trips = models.IntegerField(null=True)
    wins = models.IntegerField(null=True)
    losses = models.IntegerField(null=True)
    profit_factor = models.FloatField(null=True)
    best_trip_pnl = models.FloatField(null=True)
    worst_trip_pnl = models.FloatField(null=True)
    average_hold_seconds = models.FloatField(null=True)
    fills = models.BigIntegerField(null=True)
    taker_share = models.FloatField(null=True)
    known_share = models.FloatField(null=True)
    wash_volume_usd = models.FloatField(null=True)
    estimated = models.BooleanField(null=True)

    class Meta:
        """Migrations cannot make partitions; see 0002."""

        managed = False
        db_table = "leaderboard_metric"

    def __str__(self) -> str:
        """Return the rank and the score."""
        return f"{self.rank}. {self.trader_score}"
