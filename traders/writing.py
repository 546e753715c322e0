"""The transaction of every writer of the book."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

# A writer that is frozen holds its locks no longer than this. PostgreSQL 17 brought the last one.
LIMIT_TRANSACTION = """
SELECT set_config('lock_timeout', '3s', true),
    set_config('idle_in_transaction_session_timeout', '3s', true),
    CASE WHEN current_setting('server_version_num')::int >= 170000
        THEN set_config('transaction_timeout', '10s', true) END
"""


@contextmanager
def writing() -> Iterator[None]:
    """Open a transaction that cannot hold its locks for long, or join the one that is open."""
    with transaction.atomic(savepoint=False):
        with connection.cursor() as cursor:
            cursor.execute(LIMIT_TRANSACTION)
        yield
