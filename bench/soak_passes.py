"""A worker of the soak: `python -m bench.soak_passes track|heal|retain`, without an end.

It does what the periodic jobs do (`traders.tasks`), from the same budget in Valkey, one job after
the other: passes take 800 weight a minute where healing leaves it, as they do by default, and
healing, which has to keep up with faults in quick succession, whatever else is free.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress

import django
from asgiref.sync import async_to_sync

#: A pass gives its weight out over the half of its time.
PASS_SECONDS, PASS_WEIGHT = 30.0, 280
HEAL_WEIGHT = 500


def _track() -> None:
    from traders import tasks  # noqa: PLC0415 (settings first)

    async_to_sync(tasks.track)(PASS_SECONDS, weight=PASS_WEIGHT)
    time.sleep(1)


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
