"""A worker of the soak: `python -m bench.soak_passes track|heal|retain`, without an end.

It does what the periodic jobs do (`traders.tasks`), from the same budget in Valkey, one job after
the other: passes as they are configured, 1,000 of weight every 75 s, and healing, which has to keep
up with faults in quick succession, whatever else is free.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress

import django
from asgiref.sync import async_to_sync

HEAL_WEIGHT = 500


def _track() -> None:
    from django.conf import settings  # noqa: PLC0415

    from traders import tasks  # noqa: PLC0415 (settings first)

    begun = time.monotonic()
    interval = settings.CONFIGURATION.tracking_interval_seconds
    summary = async_to_sync(tasks.track)(interval - tasks.MARGIN_SECONDS)
    # One that had nobody left, or no database, is not worth an interval.
    is_spent = summary.stopped_because == "weight spent"
    time.sleep(max(1.0, begun + interval - time.monotonic()) if is_spent else 1.0)


def _heal() -> None:
    from traders import healing, tasks  # noqa: PLC0415

    healing.queue_holders()
    async_to_sync(tasks.track)(tasks.HEAL_FOR_SECONDS, weight=HEAL_WEIGHT, rotates=False)
    time.sleep(1)


def _retain() -> None:
    from hlcopy.periodic import database_now  # noqa: PLC0415
    from traders import retention  # noqa: PLC0415

    retention.drop_old(database_now(), event_days=14, snapshot_days=90)
    retention.fold_days(database_now().date())
    time.sleep(5)


def main() -> None:
    """Work until killed, whatever becomes of PostgreSQL meanwhile."""
    django.setup()
    from django.db import Error, close_old_connections  # noqa: PLC0415

    works: dict[str, Callable[[], None]] = {
        "track": _track,
        "heal": _heal,
        "retain": _retain,
    }
    work = works[sys.argv[1]]
    while True:
        with suppress(Error):
            close_old_connections()
            work()
            continue
        time.sleep(1)


if __name__ == "__main__":
    main()
