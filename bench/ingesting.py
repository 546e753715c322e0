"""Trades into the book and its log: natural batches, beside raw COPY and the row-by-row design."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from django.db import connection

from bench import rows
from bench.book import Market, addresses
from bench.measure import Option, Promise, compare, table
from discovery.batching import CAPACITY_TRADES, FrameQueue
from discovery.database import leave_the_pool
from discovery.writer import Writer
from traders.cursors import Arrival
from traders.eventlog import APPEND
from traders.ingest import ingest
from traders.ledgers import KnownTraders
from traders.models import EventHead, FeedGap
from traders.partitions import EVENTS, make_ahead

PROMISED_PER_SECOND = 5_000
OFFERED_PER_SECOND, OFFERED_SECONDS = 10_000, 60
TICKS = 10  # a second
#: Waiting trades: five seconds' worth; the queue has room for 200,000.
MOST_WAITING = 50_000
# A trader's changes of one coin are in the order of the exchange.
OUT_OF_ORDER = """
SELECT count(*) FROM (
    SELECT exchange_time_ms < lag(exchange_time_ms) OVER (
               PARTITION BY trader_id, coin ORDER BY id) AS is_misplaced
      FROM traders_positionevent WHERE id >= %s) AS events
 WHERE is_misplaced
"""
COLUMNS = APPEND[APPEND.index("(") : APPEND.rindex(")") + 1]


def _written() -> int:
    """Return how many events there are."""
    return EventHead.objects.values_list("head", flat=True).first() or 0


class Copying:
    """The limit: the same events' rows, into a table with the same indexes and nothing else."""

    def __init__(self, first: int, last: int, trades: int) -> None:
        """Take those numbers, which so many trades have made."""
        self._trades = trades
        self._copy = f"COPY raw_log {COLUMNS} FROM STDIN"
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS raw_log")
            cursor.execute("CREATE TABLE raw_log (LIKE traders_positionevent INCLUDING ALL)")
            of_these = f"SELECT {COLUMNS[1:-1]} FROM traders_positionevent WHERE id BETWEEN"
            with cursor.copy(f"COPY ({of_these} {first} AND {last}) TO STDOUT") as copy:
                self._rows = b"".join(bytes(block) for block in copy)

    def empty(self) -> None:
        """Begin anew."""
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE raw_log")

    def run(self) -> int:
        """Write them in one transaction."""
        with connection.cursor() as cursor, cursor.copy(self._copy) as copy:
            copy.write(self._rows)
        return self._trades


def bench(numbers: random.Random, server_cpu_seconds: Callable[[], float]) -> list[Promise]:
    """Print the comparison, then the minute under more than is promised; return the promises."""
    make_ahead(EVENTS)
    market = Market(addresses(), numbers)
    with _connected_as_the_writer():
        batches = _batches(market, server_cpu_seconds)
    return [batches, *_minute(market)]


@contextmanager
def _connected_as_the_writer() -> Iterator[None]:
    """Let this thread's connection be one like the stream process' own."""
    settings = connection.settings_dict
    connection.close()
    leave_the_pool()
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict = settings


def _batches(market: Market, server_cpu_seconds: Callable[[], float]) -> Promise:
    known = KnownTraders()
    waiting: list[list[Arrival]] = []

    def prepared(name: str, write: Callable[[list[Arrival]], object], size: int, n: int) -> Option:
        def before() -> None:
            waiting[:] = [market.batch(size) for _ in range(n)]

        def run() -> int:
            for batch in waiting:
                write(batch)
            return size * n

        return Option(name, run, before)

    def ours(batch: list[Arrival]) -> None:
        ingest(batch, known)

    first = _written() + 1
    for _ in range(10):
        ours(market.batch(2_000))
    copying = Copying(first, _written(), 20_000)
    options = [
        prepared("row by row, ORM, a transaction a frame", rows.write, 60, 1),
        prepared("batches of 25", ours, 25, 60),
        prepared("batches of 100", ours, 100, 20),
        prepared("batches of 2,000", ours, 2_000, 3),
        Option("limit: COPY of the same events alone", copying.run, copying.empty),
    ]
    compare(options, rounds=9, server_cpu_seconds=server_cpu_seconds)
    print(table(options, "trade"))
    per_second = {option.name: option.per_second for option in options}
    slow, *_, large, limit = per_second.values()
    return Promise(
        f"sustained trades into committed events at least {PROMISED_PER_SECOND:,}/s",
        f"{large:,.0f}/s, {large / slow:,.0f} times the row-by-row design, 1/{limit / large:.0f}"
        " of the raw COPY of the events",
        large >= PROMISED_PER_SECOND,
    )


def _minute(market: Market) -> list[Promise]:
    """Offer 10,000 trades a second for a minute; return what came through, and how."""
    first = _written() + 1
    frames = [market.batch(OFFERED_PER_SECOND // TICKS) for _ in range(TICKS * OFFERED_SECONDS)]
    waiting, counted, overflowed = asyncio.run(_offer(frames))
    with connection.cursor() as cursor:
        cursor.execute(OUT_OF_ORDER, [first])
        (misplaced,) = cursor.fetchone()
    lost = OFFERED_PER_SECOND * OFFERED_SECONDS - counted
    gaps = FeedGap.objects.filter(reason=FeedGap.Reason.OVERFLOW).exists()
    offered = f"{OFFERED_PER_SECOND:,} trades/s for a minute"
    found = f"{misplaced} out of order, at most {max(waiting):,} waiting"
    return [
        Promise(
            f"{offered}: in order, the queue bounded, and a gap for what finds no room",
            f"{found}, {overflowed:,} found no room, {lost - overflowed} lost untold",
            misplaced == 0
            and lost == overflowed
            and max(waiting) <= CAPACITY_TRADES
            and gaps is (overflowed > 0),
        ),
        Promise(
            f"{offered}: none lost, in order, at most {MOST_WAITING:,} waiting",
            f"{lost:,} lost, {found}",
            lost == 0 and misplaced == 0 and max(waiting) <= MOST_WAITING,
        ),
    ]


async def _offer(frames: Sequence[Sequence[Arrival]]) -> tuple[list[int], int, int]:
    """Offer them to the stream process' queue and writer.

    Return what waited, how many were counted, and how many found no room.
    """
    writer = Writer(FrameQueue())
    running = asyncio.create_task(writer.run())
    waiting = []
    began_at, cpu = time.monotonic(), time.process_time()
    for number, batch in enumerate(frames):
        await asyncio.sleep(max(0.0, began_at + number / TICKS - time.monotonic()))
        for frame in batch:
            writer.offer(frame)
        waiting.append(writer.queue.trades_waiting)
    offered = time.monotonic() - began_at
    writer.finish()
    await running
    took = time.monotonic() - began_at
    cpu = time.process_time() - cpu
    writer.close()
    print(
        f"{writer.counted:,} trades offered in {offered:.1f} s were committed in {took:.1f} s:"
        f" {writer.counted / took:,.0f}/s, {cpu / took:.0%} of a core in this process;"
        f" waiting every 5 s: {' '.join(map(str, waiting[:: 5 * TICKS]))}"
    )
    return waiting, writer.counted, writer.queue.overflowed
