"""New addresses into PostgreSQL: a batch in one transaction, beside one transaction a frame."""

from __future__ import annotations

import random
from collections.abc import Callable

from django.db import connection, transaction

from bench.measure import Option, Promise, compare, table
from bench.population import random_address
from hlcopy.clock import utc_now
from traders.models import Trader
from traders.recording import writing
from traders.sightings import record

#: What the writer takes at most: 5,000 trades, each with a buyer and a seller.
BATCH_ADDRESSES = 10_000
BATCHES = 4
FRAMES = 60
PROMISED_PER_SECOND = 25_500


def new_frames(numbers: random.Random, count: int) -> list[list[str]]:
    """Return the new addresses of frames of 1 to 20 trades, as many as recorded ones have."""
    sizes = numbers.choices((1, 2, 3, 4, 20), (67, 17, 6, 3, 7), k=count)
    return [[random_address(numbers) for _ in range(2 * size)] for size in sizes]


def with_the_orm(frames: list[list[str]]) -> None:
    """One transaction a frame: look each address up, insert the unknown."""
    for frame in frames:
        with transaction.atomic():
            for address in frame:
                if not Trader.objects.filter(address=address).exists():
                    Trader.objects.create(address=address, first_seen_at=utc_now())


def with_plain_sql(frames: list[list[str]]) -> None:
    """Likewise, without the ORM's share."""
    for frame in frames:
        with transaction.atomic(), connection.cursor() as cursor:
            for address in frame:
                cursor.execute("SELECT id FROM traders_trader WHERE address = %s", [address])
                if cursor.fetchone() is None:
                    cursor.execute(
                        "INSERT INTO traders_trader (address, first_seen_at, dexes,"
                        " unfinished_claims, failures, last_error)"
                        " VALUES (%s, %s, '{\"\"}', 0, 0, '')",
                        [address, utc_now()],
                    )


def bench(numbers: random.Random, server_cpu_seconds: Callable[[], float]) -> list[Promise]:
    """Print the comparison; return what was promised of it."""

    def row_by_row(write: Callable[[list[list[str]]], None]) -> Callable[[], int]:
        def run() -> int:
            frames = new_frames(numbers, FRAMES)
            write(frames)
            return sum(map(len, frames))

        return run

    def batched(size: int, batches: int) -> Callable[[], int]:
        def run() -> int:
            for _ in range(batches):
                with writing():
                    record({(random_address(numbers), "") for _ in range(size)}, utc_now())
            return size * batches

        return run

    ours = Option(f"batches of {BATCH_ADDRESSES:,}", batched(BATCH_ADDRESSES, BATCHES))
    options = [
        Option("row by row, ORM", row_by_row(with_the_orm)),
        Option("row by row, plain SQL", row_by_row(with_plain_sql)),
        Option("batches of 100", batched(100, 50)),
        Option("batches of 1,000", batched(1000, 10)),
        ours,
    ]
    compare(options, rounds=7, server_cpu_seconds=server_cpu_seconds)
    print(table(options, "address"))
    return [
        Promise(
            f"new addresses into PostgreSQL at least {PROMISED_PER_SECOND:,}/s",
            f"{ours.per_second:,.0f}/s, {ours.per_second / options[0].per_second:,.0f} times the"
            " row-by-row design",
            ours.per_second >= PROMISED_PER_SECOND,
        )
    ]
