"""How the feed is covered: the rows that each socket of the stream process writes every second.

A row younger than 5 s says that its socket lives; without one the coin is not covered. Ages are
judged by PostgreSQL's clock alone, so the hosts' clocks may differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now

from traders.models import FeedSocket

ALIVE_SECONDS = 5
#: A dead process' rows are shown for an hour.
FORGET_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SocketReport:
    """What a socket says of itself; counts are since its process started.

    `coins` are the acknowledged subscriptions to trades, `newest_block_ms` is exchange time.
    """

    name: str
    connected: bool
    since_at: datetime
    coins: list[str]
    newest_block_ms: int | None
    trades: int
    bad_frames: int
    reconnects: int
    last_error: str


@dataclass(frozen=True, slots=True)
class Feed:
    """The feed as all living sockets together have it; None is unknown."""

    connected: bool
    since_at: datetime | None
    sockets: int
    coins: int
    newest_block_ms: int | None
    reconnects: int
    bad_frames: int
    last_error: str


def report(reports: Sequence[SocketReport]) -> None:
    """Write the sockets' rows, in one statement."""
    rows = [FeedSocket(seen_at=Now(), **asdict(socket)) for socket in reports]
    FeedSocket.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=[
            field.name for field in FeedSocket._meta.concrete_fields if not field.primary_key
        ],
    )


def forget_dead() -> int:
    """Remove the rows that nobody has written for an hour; return how many."""
    return FeedSocket.objects.filter(seen_at__lt=Now() - FORGET_AFTER).delete()[0]


def alive() -> QuerySet[FeedSocket]:
    """Return the sockets of living processes, connected or not."""
    return FeedSocket.objects.filter(seen_at__gt=Now() - timedelta(seconds=ALIVE_SECONDS))


def covered_coins() -> dict[str, int | None]:
    """Return every coin that a living socket carries, with the newest block any of them saw."""
    covered: dict[str, int | None] = {}
    for socket in alive().filter(connected=True):
        for coin in socket.coins:
            known = covered.get(coin)
            newest = socket.newest_block_ms
            covered[coin] = max(known, newest) if known and newest else known or newest
    return covered


def feed() -> Feed:
    """Return the state of the feed for people and machines."""
    sockets = list(alive())
    connected = [socket for socket in sockets if socket.connected]
    newest = [socket.newest_block_ms for socket in sockets if socket.newest_block_ms is not None]
    return Feed(
        connected=bool(connected),
        since_at=min((socket.since_at for socket in connected), default=None),
        sockets=len(connected),
        coins=len({coin for socket in connected for coin in socket.coins}),
        newest_block_ms=max(newest, default=None),
        reconnects=sum(socket.reconnects for socket in sockets),
        bad_frames=sum(socket.bad_frames for socket in sockets),
        last_error=next((socket.last_error for socket in sockets if socket.last_error), ""),
    )
