"""Appending to the event log by COPY: in partitions, beside one table with the same indexes."""

from __future__ import annotations

from django.db import connection, transaction

from bench.measure import Option, Promise, compare, table
from traders.eventlog import APPEND
from traders.partitions import EVENTS, make_ahead

BATCH = 1_000
PROMISED_RATIO = 1.25
COLUMNS = APPEND[APPEND.index("(") :]


class Appender:
    """Appends batches of events to one table, with ever greater numbers."""

    def __init__(self, name: str) -> None:
        """Begin behind what the table has."""
        self._copy = f"COPY {name} {COLUMNS}"
        self._next_id = 2_000_000  # partitions 0 to 2 are there
        self._now = "2026-11-20 00:00:00+00"

    def run(self) -> int:
        """Append one batch in a transaction of its own, as a writer does."""
        with transaction.atomic(), connection.cursor() as cursor, cursor.copy(self._copy) as copy:
            for number in range(self._next_id, self._next_id + BATCH):
                trader = number * 7919 % 1_000_000
                size = ("BTC", "BUY", 0, 1, 60_000, "feed", False, False)
                times = (1_760_000_000_000, "{}")
                copy.write_row(
                    (number, self._now, trader, f"0x{trader:040x}", "OPEN", *size, *times)
                )
        self._next_id += BATCH
        return BATCH


def make_plain() -> None:
    """Make the one table."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE plain_log (LIKE traders_positionevent INCLUDING ALL)")


def bench() -> list[Promise]:
    """Print the comparison; return what was promised of it."""
    make_ahead(EVENTS)
    make_plain()
    plain = Option("one plain table", Appender("plain_log").run)
    ours = Option("partitions by id", Appender(EVENTS.table).run)
    compare([plain, ours], rounds=60)
    print(table([plain, ours], "event"))
    ratio = plain.per_second / ours.per_second
    return [
        Promise(
            f"appending to partitions takes at most {PROMISED_RATIO} times as long as to one table",
            f"{ours.per_second:,.0f} events/s, {ratio:.2f} times as long",
            ratio <= PROMISED_RATIO,
        )
    ]
