"""How the feed is covered: the rows that each socket of the stream process writes every second.

A row younger than 5 s says that its socket lives; without one the coin is not covered. Ages are
judged by PostgreSQL's clock alone, so the hosts' clocks may differ.

How long the feed was carried is one row for each UTC day, the same for all traders.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta

from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from traders.knowledge import CoinFeed
from traders.models import Coin, FeedCursor, FeedSocket
from traders.socket_report import SocketReport

ALIVE_SECONDS = 5
#: A dead process' rows are shown for an hour, and kept until others have carried the feed so long.
FORGET_AFTER = timedelta(hours=1)
CARRIED_AGAIN = timedelta(minutes=1)
#: A coin is silent when it has not traded for so long while others have.
SILENT_AFTER_MS = 60_000
# What sockets had carried when they were lost: everything up to their rows' newest blocks; and what
# they themselves have told to be lost.
LAST_CARRIED = """
SELECT coin, max(until_ms) FROM (
    SELECT coin, newest_block_ms AS until_ms FROM traders_feedsocket, unnest(coins) AS coin
    UNION ALL
    SELECT key, value::bigint FROM traders_feedsocket, jsonb_each_text(lost)
) AS carried
WHERE coin = ANY(%(coins)s) GROUP BY coin
"""
# One process after the other, so that each second is counted once however many there are. What lies
# between two reports counts where the later one finds a coin carried. The second across midnight
# belongs to the day in which it ends.
COUNT_SECONDS = f"""
SELECT pg_advisory_xact_lock(hashtext('traders_feedday'));
WITH clock AS MATERIALIZED (SELECT clock_timestamp() AS now),
newest AS (SELECT counted_until FROM traders_feedday ORDER BY day DESC LIMIT 1),
carried AS (
    SELECT FROM traders_feedsocket, clock
     WHERE connected AND coins <> '{{}}' AND seen_at > now - interval '{ALIVE_SECONDS} s' LIMIT 1
)
INSERT INTO traders_feedday AS kept (day, covered_seconds, counted_until)
SELECT (now AT TIME ZONE 'UTC')::date,
       CASE WHEN counted_until < now AND EXISTS (SELECT FROM carried)
            THEN extract(epoch FROM least(now - counted_until, '{ALIVE_SECONDS} s')) ELSE 0 END,
       now
  FROM clock LEFT JOIN newest ON true
ON CONFLICT (day) DO UPDATE SET
    covered_seconds = kept.covered_seconds + excluded.covered_seconds,
    counted_until = greatest(kept.counted_until, excluded.counted_until)
"""  # noqa: S608 - of our own number alone
# A day without a row is one on which nobody carried anything.
CARRIED_DAYS = """
SELECT day::date, coalesce(covered_seconds, 0)
  FROM (SELECT min(day) AS first FROM traders_feedday) AS began,
       generate_series(greatest(first, %(since)s::date), %(until)s::date, '1 day') AS day
  LEFT JOIN traders_feedday USING (day) ORDER BY day
"""


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
    """Write the sockets' rows, in one statement, and count how long the feed was carried."""
    rows = [FeedSocket(seen_at=Now(), **asdict(socket)) for socket in reports]
    FeedSocket.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=[
            field.name for field in FeedSocket._meta.concrete_fields if not field.primary_key
        ],
    )
    with connection.cursor() as cursor:
        cursor.execute(COUNT_SECONDS)


def carried_days(since: date | None, until: date) -> dict[date, float]:
    """Return the seconds for which the feed was carried, of each UTC day since that is counted.

    Days before `since` are left out (None: none are); a day that is not told is unknown.
    """
    with connection.cursor() as cursor:
        cursor.execute(CARRIED_DAYS, {"since": since, "until": until})
        return dict(cursor.fetchall())


def forget_dead() -> int:
    """Remove the rows that nobody has written for an hour; return how many.

    What the last ones carried tells where their gaps begin: they stay until that is noted.
    """
    dead = FeedSocket.objects.filter(seen_at__lt=Now() - FORGET_AFTER)
    carrying = alive().filter(connected=True, since_at__lt=Now() - CARRIED_AGAIN)
    if not carrying.exclude(coins=[]).exists():
        dead = dead.filter(coins=[], lost={})
    return dead.delete()[0]


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


def others_behind(until_ms: Mapping[str, int], *, process: str) -> set[str]:
    """Return the coins that a living socket of another process carries, and has not brought so far.

    `process`: how the names of one's own sockets begin.
    """
    others = alive().filter(connected=True, newest_block_ms__isnull=False)
    return {
        coin
        for socket in others.exclude(name__startswith=process)
        for coin in until_ms.keys() & set(socket.coins)
        if (socket.newest_block_ms or 0) < until_ms[coin]
    }


def coin_feeds(cursors: Iterable[FeedCursor]) -> dict[str, CoinFeed]:
    """Return how the feed stands with the coins of these cursors, in two queries at most."""
    covered = covered_coins()
    known = {cursor.coin: cursor for cursor in cursors}
    ended = last_carried(known.keys() - covered.keys())
    return {
        coin: CoinFeed(
            gap_until_ms=cursor.gap_until_ms,
            is_covered=coin in covered,
            # A trade may be committed up to a second before the row that says so.
            carried_until_ms=max(
                (covered.get(coin) if coin in covered else ended.get(coin)) or 0,
                cursor.newest_ms or 0,
            ),
        )
        for coin, cursor in known.items()
    }


def last_carried(coins: Collection[str]) -> dict[str, int]:
    """Return the newest block of the sockets that carried these coins, or carry them still.

    Of one that has lost a coin and lives, or was killed since, the newest one when it lost it.
    """
    if not coins:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(LAST_CARRIED, {"coins": sorted(coins)})
        return {coin: newest_ms for coin, newest_ms in cursor.fetchall() if newest_ms is not None}


def open_gaps() -> set[str]:
    """Return the coins that were followed, are still listed, and are carried by nobody now."""
    followed = set(FeedCursor.objects.values_list("coin", flat=True))
    delisted = Coin.objects.filter(is_delisted=True, name__in=followed)
    return followed - set(delisted.values_list("name", flat=True)) - covered_coins().keys()


def silent_coins() -> set[str]:
    """Return the coins that are carried and have had no trade for a minute while others had."""
    covered = covered_coins()
    newest_ms = max((at for at in covered.values() if at is not None), default=0)
    quiet = FeedCursor.objects.filter(newest_ms__lt=newest_ms - SILENT_AFTER_MS)
    return covered.keys() & set(quiet.values_list("coin", flat=True))


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
