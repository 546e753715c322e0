"""Blocking database work of an event loop: one thread, one connection, replaced when it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, Error, connections

P = ParamSpec("P")
T = TypeVar("T")


class DatabaseThread:
    """Runs one piece of work after the other; several of these never wait for each other."""

    def __init__(self, name: str) -> None:
        """Start nothing yet: the thread and its connection come with the first work."""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name, initializer=leave_the_pool)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the work returns, or raise what it raises (`django.db.Error`)."""

        def call() -> T:
            try:
                return work(*args, **kwargs)
            except Error:
                connections[DEFAULT_DB_ALIAS].close()
                raise

        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def close(self) -> None:
        """Close the connection after the work under way, without waiting for it."""
        self._executor.submit(connections.close_all)
        self._executor.shutdown(wait=False)


def leave_the_pool() -> None:
    """Give this thread a connection of its own.

    The pool doubles the delay between its attempts while the server is away, up to minutes, and
    answers with a time-out where the server would say what is wrong.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    options = {**connection.settings_dict["OPTIONS"]}
    options.pop("pool", None)
    # The same few statements for ever: planned once.
    options |= {"server_side_binding": True, "prepare_threshold": 1}
    connection.settings_dict = {**connection.settings_dict, "OPTIONS": options}
