"""A worker of the soak: `python -m bench.soak_passes track|heal|retain`, without an end.

It does what the periodic jobs do (`traders.tasks`), with no pause between them, no leader among
processes, and no limit of weight: healing has to keep up with faults in quick succession.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import django
from asgiref.sync import async_to_sync


@dataclass(frozen=True)
class Permit:
    """A reservation that never grows old."""

    is_fresh: bool = True


class NoLimit:
    """A budget that grants everything."""

    async def reserve(self, weight: int) -> Permit:
        """Grant it."""
        return Permit()

    async def settle(self, permit: Permit, actual_weight: int) -> None:
        """Forget it."""

    async def pause(self, seconds: float | None) -> float:
        """Not pause: the simulator's 429 are its faults."""
        return 0.0


def _passes(weight: int, *, rotates: bool) -> None:
    from exchange.info import InfoClient  # noqa: PLC0415 (settings first)
    from traders import healing  # noqa: PLC0415
    from traders.pass_limits import Limits  # noqa: PLC0415
    from traders.tracking import run_pass  # noqa: PLC0415

    async def pass_() -> None:
        limits = Limits(50, weight, 40, ("", "xyz"), rotates=rotates)
        async with InfoClient(os.environ["HYPERLIQUID_API_URL"], budget=NoLimit()) as info:
            await run_pass(info, limits)

    if not rotates:
        healing.queue_holders()
    async_to_sync(pass_)()
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
        "track": lambda: _passes(200, rotates=True),
        "heal": lambda: _passes(600, rotates=False),
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
