"""The transaction of every writer of the book."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

#: PostgreSQL 17 can end a transaction that lasts too long.
ENDS_TRANSACTIONS = 170_000
# A writer that is frozen holds its locks no longer than this. In a pipeline (`bulk.together`) the
# server waits for the next statement without being idle: there the last limit counts alone.
LIMIT_TRANSACTION = f"""
SELECT set_config('lock_timeout', '3s', true),
    set_config('idle_in_transaction_session_timeout', '3s', true),
    CASE WHEN current_setting('server_version_num')::int >= {ENDS_TRANSACTIONS}
        THEN set_config('transaction_timeout', '10s', true) END
"""


@contextmanager
def writing() -> Iterator[None]:
    """Open a transaction that cannot hold its locks for long, or join the one that is open."""
    with transaction.atomic(savepoint=False):
        with connection.cursor() as cursor:
            cursor.execute(LIMIT_TRANSACTION)
        yield
