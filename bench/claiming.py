"""The claim of 50 among a million traders, beside the design with a plain `db_index`."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from django.db import connection, transaction

from bench.measure import Option, Promise, compare, table
from hlcopy.clock import utc_now
from traders.claims import claim

BATCH = 50
PROMISED_SECONDS = 0.005
LEASE_SECONDS = 3600


def with_our_claim() -> int:
    """Lease the next 50."""
    batch = claim(BATCH, lease_seconds=LEASE_SECONDS, before=utc_now(), alone=True)
    assert len(batch.claims) == BATCH
    return 1


def finish() -> None:
    """Send those who were claimed to the back, as tracking does with one after the other."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE traders_trader SET last_tracked_at = now(), lease_token = NULL,"
            " lease_until = NULL, unfinished_claims = 0 WHERE lease_token IS NOT NULL"
        )


def row_by_row() -> int:
    """Take the 50 most overdue and mark one after the other, each in its own transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM classic_trader ORDER BY last_tracked_at ASC NULLS FIRST LIMIT 50"
        )
        for (trader_id,) in cursor.fetchall():
            cursor.execute(
                "UPDATE classic_trader SET last_tracked_at = %s WHERE id = %s",
                [utc_now(), trader_id],
            )
    return 1


def same_in_one_transaction() -> int:
    """Likewise, with a single commit."""
    with transaction.atomic():
        return row_by_row()


def one_commit() -> int:
    """Change one row: what the disk takes at least."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE traders_eventhead SET head = head")
    return 1


def bench(server_cpu_seconds: Callable[[], float]) -> list[Promise]:
    """Print the comparison; return what was promised of it."""
    ours = Option("claim of 50 under a lease", with_our_claim, afterwards=finish)
    options = [
        Option("row by row, plain db_index", row_by_row),
        Option("likewise, one transaction", same_in_one_transaction),
        ours,
        Option("floor: one commit of one row", one_commit),
    ]
    compare(options, rounds=9, server_cpu_seconds=server_cpu_seconds)
    print(table(options, "claim"))
    alone = Option(ours.name, with_our_claim, afterwards=finish)
    compare([alone], rounds=240, server_cpu_seconds=server_cpu_seconds)
    median = statistics.median(alone.wall)
    worst = statistics.quantiles(alone.wall, n=100)[-1]
    return [
        Promise(
            f"claim of {BATCH} among 1,000,000 traders below {PROMISED_SECONDS * 1e3:.0f} ms",
            f"median {median * 1e3:.2f} ms, p99 {worst * 1e3:.2f} ms over {len(alone.wall)}",
            median < PROMISED_SECONDS,
        )
    ]
