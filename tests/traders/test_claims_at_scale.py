"""The claim's two queries walk their indexes: no sort, no scan, whatever stands at the head."""

from __future__ import annotations

import re
import threading

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from hlcopy.periodic import database_now
from traders import claims

TRADERS = 20_000
FILL = """
INSERT INTO traders_trader (address, first_seen_at, dexes, unfinished_claims, failures, last_error,
    last_tracked_at, retry_at, lease_token, lease_until)
SELECT '0x' || lpad(to_hex(n), 40, '0'), now(), '{""}', 0, 0, '',
    now() - n * interval '1 second',
    -- The most overdue: 1000 leased, 3000 backing off.
    CASE WHEN n BETWEEN 16001 AND 19000 THEN now() + n * interval '1 second' END,
    CASE WHEN n > 19000 THEN gen_random_uuid() END,
    CASE WHEN n > 19000 THEN now() + interval '1 minute' END
FROM generate_series(1, %s) AS n
"""


@pytest.fixture
def crowd():
    with connection.cursor() as cursor:
        cursor.execute(FILL, [TRADERS])
        cursor.execute("ANALYZE traders_trader")


def plan(query):
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, FORMAT TEXT) " + query["sql"].replace("%", "%%"))
        return "\n".join(row[0] for row in cursor.fetchall())


@pytest.mark.django_db
def test_a_claim_neither_sorts_nor_scans_the_table(crowd):
    before = database_now()
    with CaptureQueriesContext(connection) as queries:
        batch = claims.claim(50, lease_seconds=60, before=before, alone=True)

    assert len(batch.claims) == 50
    [query] = queries.captured_queries
    steps = plan(query)
    for index in ("trader_retry", "trader_rotation", "traders_trader_pkey"):
        assert f"Index Scan using {index}" in steps
    assert "Seq Scan" not in steps
    # Only the batch itself is put in order.
    assert re.findall(r"Sort .*rows=([0-9]+)", steps) in ([], ["50"])
    # The 1050 leased ones are looked at; those that back off are in another index and are not.
    assert "Rows Removed by Filter: 1050\n" in steps


@pytest.mark.django_db(transaction=True)
def test_claims_at_once_share_no_trader(crowd):
    now = database_now()
    together = threading.Barrier(6)
    taken: list[claims.Claim] = []

    def worker():
        together.wait()
        for _ in range(10):
            taken.extend(claims.claim(50, lease_seconds=60, before=now, alone=True).claims)
        connection.close()

    threads = [threading.Thread(target=worker) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    numbers = [claim.trader_id for claim in taken]
    assert len(numbers) == len(set(numbers)) == 3000
