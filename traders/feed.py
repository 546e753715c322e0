"""How the feed is covered: a row for each socket of the stream process."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


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

    def __str__(self) -> str:
        """Return the socket's name."""
        return self.name
