"""The end of the event log: where numbers are given out and rows are appended."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from django.db import connection, transaction

from hlcopy import broadcast
from traders import partitions
from traders.outcome import NewEvent
from traders.positions import Change

# Whoever runs this holds the one row until the commit: that makes the numbers gapless and gives
# them the order of the commits. The row is made anew, with a new epoch, should it be missing.
# Last: whether a partition is missing of those that the new numbers fall into.
NEXT_NUMBERS = f"""
INSERT INTO traders_eventhead AS log (id, head, epoch) VALUES (1, %s, gen_random_uuid())
ON CONFLICT (id) DO UPDATE SET head = log.head + excluded.head
RETURNING head, clock_timestamp(),
    to_regclass('traders_positionevent_' || (head - %s + 1) / {partitions.IDS_EACH}) IS NULL
    OR to_regclass('traders_positionevent_' || head / {partitions.IDS_EACH}) IS NULL
"""  # noqa: S608 (a constant number)
APPEND = """
COPY traders_positionevent (
    id, created_at, trader_id, trader_address, kind, coin, side, size_before, size_after, price,
    source, stale, replayed, exchange_time_ms, details
) FROM STDIN
"""
#: What COPY's text format gives a meaning of its own.
ESCAPED = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def encoded(events: Sequence[NewEvent]) -> list[str]:
    """Return the events' rows as COPY takes them, without the number and the time of writing.

    They are made while PostgreSQL has other work to do; the driver, which looks for the adapter of
    every value, takes twice as long.
    """
    return [_line(event, event.change) for event in events]


def _line(event: NewEvent, change: Change) -> str:
    """Return one row; of its values only the coin's name and the details come from outside."""
    price = r"\N" if change.price is None else change.price
    details = msgspec.json.encode(event.details).decode()
    return (
        f"{event.trader_id}\t{event.address}\t{change.kind}\t{_escaped(change.coin)}\t{change.side}"
        f"\t{change.size_before}\t{change.size_after}\t{price}\t{event.source}\t{event.stale}"
        f"\t{event.replayed}\t{event.exchange_time_ms}\t{_escaped(details)}\n"
    )


def _escaped(text: str) -> str:
    # What most texts are is faster to see than to translate.
    if text.isprintable() and "\\" not in text:
        return text
    return text.translate(ESCAPED)


def append(lines: Sequence[str]) -> int | None:
    """Number and write what `encoded` returned; return the log's new head, None without events.

    Call it last in the writing transaction: until the commit no other writer can append. After
    the commit the web processes are woken.
    """
    if not lines:
        return None
    with connection.cursor() as cursor:
        cursor.execute(NEXT_NUMBERS, [len(lines), len(lines)])
        head, created_at, no_room = cursor.fetchone()
        first = head - len(lines) + 1
        if no_room:
            partitions.make_room(partitions.EVENTS, first, head)
        at = str(created_at)
        rows = [f"{number}\t{at}\t{line}" for number, line in enumerate(lines, first)]
        # Django gives the driver's errors their own classes everywhere but here.
        with connection.wrap_database_errors, cursor.copy(APPEND) as copy:
            copy.write("".join(rows))
    transaction.on_commit(lambda: broadcast.wake(head))
    return int(head)
