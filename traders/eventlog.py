"""The end of the event log: where numbers are given out and rows are appended."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from django.db import connection, transaction

from hlcopy import broadcast
from traders import partitions
from traders.outcome import NewEvent

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


def append(events: Sequence[NewEvent]) -> int | None:
    """Number and write the events; return the log's new head, None without events.

    Call it last in the writing transaction: until the commit no other writer can append. After
    the commit the web processes are woken.
    """
    if not events:
        return None
    with connection.cursor() as cursor:
        cursor.execute(NEXT_NUMBERS, [len(events), len(events)])
        head, created_at, no_room = cursor.fetchone()
        if no_room:
            partitions.make_room(partitions.EVENTS, head - len(events) + 1, head)
        # Django gives the driver's errors their own classes everywhere but here.
        with connection.wrap_database_errors, cursor.copy(APPEND) as copy:
            for number, event in enumerate(events, head - len(events) + 1):
                change = event.change
                copy.write_row(
                    (
                        number,
                        created_at,
                        event.trader_id,
                        event.address,
                        change.kind,
                        change.coin,
                        change.side,
                        change.size_before,
                        change.size_after,
                        change.price,
                        event.source,
                        event.stale,
                        event.replayed,
                        event.exchange_time_ms,
                        msgspec.json.encode(event.details).decode(),
                    )
                )
    transaction.on_commit(lambda: broadcast.wake(head))
    return int(head)
