"""New addresses into PostgreSQL: a batch in one transaction, beside one transaction a frame."""

from __future__ import annotations

import random
from collections.abc import Callable

from django.db import connection, transaction

from bench.measure import Option, Promise, compare, table
from bench.population import random_address
from hlcopy.clock import utc_now
from traders.models import Trader
from traders.sightings import record
from traders.writing import writing

#: Live frames hold two trades at the mean (recorded: 1.86), each with a buyer and a seller.
ADDRESSES_PER_FRAME = 4
PROMISED_PER_SECOND = 25_500


def with_the_orm(frame: list[str]) -> None:
    """One transaction a frame: look each address up, insert the unknown."""
    with transaction.atomic():
        for address in frame:
            if not Trader.objects.filter(address=address).exists():
                Trader.objects.create(address=address, first_seen_at=utc_now())


def with_plain_sql(frame: list[str]) -> None:
    """Likewise, without the ORM's share."""
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


def in_a_batch(addresses: list[str]) -> None:
    """As the stream process does it."""
    with writing():
        record({(address, "") for address in addresses}, utc_now())


def bench(numbers: random.Random, server_cpu_seconds: Callable[[], float]) -> list[Promise]:
    """Print the comparison; return what was promised of it."""

    waiting: list[list[str]] = []

    def prepared(name: str, write: Callable[[list[str]], None], size: int, count: int) -> Option:
        def before() -> None:
            waiting[:] = [[random_address(numbers) for _ in range(size)] for _ in range(count)]

        def run() -> int:
            for addresses in waiting:
                write(addresses)
            return sum(map(len, waiting))

        return Option(name, run, before)

    # The writer takes at most 5,000 trades at once.
    ours = prepared("batches of 10,000 (a burst)", in_a_batch, 10_000, 4)
    options = [
        prepared("row by row, ORM", with_the_orm, ADDRESSES_PER_FRAME, 60),
        prepared("row by row, plain SQL", with_plain_sql, ADDRESSES_PER_FRAME, 60),
        prepared("batches of 100", in_a_batch, 100, 50),
        prepared("batches of 1,000", in_a_batch, 1000, 10),
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
