"""A million traders, loaded by COPY: a tenth never tracked, some leased, some backing off."""

from __future__ import annotations

import random
from datetime import timedelta

from django.db import connection

from hlcopy.clock import utc_now

TRADERS = 1_000_000
NEVER_TRACKED = 0.10
LEASED = 0.01
BACKING_OFF = 0.02
COLUMNS = (
    "address, first_seen_at, dexes, last_tracked_at, lease_until, retry_at,"
    " unfinished_claims, failures, last_error"
)


def random_address(numbers: random.Random) -> str:
    """Return an address as the exchange writes them."""
    return f"0x{numbers.getrandbits(160):040x}"


def load(numbers: random.Random) -> None:
    """Fill the traders' table, and a copy as the classic design would have it."""
    now = utc_now()
    later = (now + timedelta(hours=1)).isoformat()
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY traders_trader ({COLUMNS}) FROM STDIN") as copy:
            for _ in range(TRADERS):
                tracked: str | None = None
                if numbers.random() >= NEVER_TRACKED:
                    tracked = (now - timedelta(seconds=numbers.uniform(75, 180_000))).isoformat()
                lease = later if numbers.random() < LEASED else None
                retry = later if numbers.random() < BACKING_OFF else None
                moments = (now.isoformat(), "{}", tracked, lease, retry)
                copy.write_row((random_address(numbers), *moments, 0, int(retry is not None), ""))
        # Its own table, so that neither design pays for the other's index.
        cursor.execute(
            "CREATE TABLE classic_trader AS"
            " SELECT id, address, first_seen_at, last_tracked_at FROM traders_trader"
        )
        cursor.execute("ALTER TABLE classic_trader ADD PRIMARY KEY (id)")
        cursor.execute("CREATE INDEX ON classic_trader (last_tracked_at)")
        cursor.execute("VACUUM ANALYZE traders_trader")
        cursor.execute("VACUUM ANALYZE classic_trader")
