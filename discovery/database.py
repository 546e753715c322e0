"""Blocking database work of an event loop: one thread, one connection, replaced when it fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.backends.postgresql.base import DatabaseWrapper

P = ParamSpec("P")
T = TypeVar("T")
_renewing = threading.Lock()


class DatabaseThread:
    """Runs one piece of work after the other; several of these never wait for each other."""

    def __init__(self, name: str) -> None:
        """Start nothing yet: the thread and its connection come with the first work."""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the work returns, or raise what it raises (`django.db.Error`)."""

        def call() -> T:
            try:
                return work(*args, **kwargs)
            except Error:
                renew_connection()
                raise

        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def close(self) -> None:
        """Close the connection after the work under way, without waiting for it."""
        self._executor.submit(connections.close_all)
        self._executor.shutdown(wait=False)


def renew_connection() -> None:
    """Give up this thread's connection, and the pool whose next attempts may be minutes away.

    psycopg's pool doubles the delay between its attempts while the server is away.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    connection.close()
    with _renewing:
        if isinstance(connection, DatabaseWrapper):
            connection.close_pool()
