"""Each web process tells the others how many sockets it serves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from asgiref.sync import sync_to_async
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from hlcopy import heartbeats
from hlcopy.models import Heartbeat

REPORT_SECONDS = 2.0


async def report(numbers: Callable[[], dict[str, int]]) -> None:
    """Write the process' heartbeat with its numbers, for ever; without a database it waits."""
    write = sync_to_async(beat, thread_sensitive=False)
    while True:
        await write(numbers())
        await asyncio.sleep(REPORT_SECONDS)


def beat(numbers: dict[str, int]) -> None:
    """Write the row over a connection that goes back to the pool."""
    close_old_connections()
    with contextlib.suppress(DatabaseError):
        heartbeats.beat(Heartbeat.Role.WEB, numbers)
    connection.close()
