"""A scheduler or a worker in which time runs faster: `python -m tests.hlcopy.scaled ROLE`.

The exchange's minute is SCALE times shorter for the budget; leases and heartbeats are too. Where
DEADLY names a file, there is one job more, which kills its process while that file is there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import django
import msgspec

SCALE = 15
INTERVAL_SECONDS = 75 // SCALE
LEASE_SECONDS = 1.5
DEADLY_SECONDS = 2


def deadly() -> dict[str, object]:
    """Die as under the kernel's hand: nothing is given back, nothing is said."""
    if Path(os.environ["DEADLY"]).exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return {}


def work() -> None:
    """Run what `rundramatiq` runs in each of its processes, until TERM."""
    import dramatiq  # noqa: PLC0415 (its broker is made by the settings)
    from django.utils.module_loading import autodiscover_modules  # noqa: PLC0415

    autodiscover_modules("tasks")
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    worker = dramatiq.Worker(dramatiq.get_broker(), worker_threads=2)
    worker.start()
    ending.wait()
    worker.stop(timeout=1000)


def main() -> None:
    """Scale the times, then run."""
    django.setup()
    from django.conf import settings  # noqa: PLC0415 (needs the set-up)
    from django.core.management import call_command  # noqa: PLC0415

    import hlcopy.worker  # noqa: PLC0415
    from hlcopy import periodic  # noqa: PLC0415
    from traders import leases  # noqa: PLC0415

    settings.CONFIGURATION = msgspec.structs.replace(
        settings.CONFIGURATION,
        hyperliquid_weight_per_minute=1100 * SCALE,
        tracking_interval_seconds=INTERVAL_SECONDS,
    )
    periodic.SHORTEST_LEASE_SECONDS = 1
    if "DEADLY" in os.environ:
        periodic.periodic(seconds=DEADLY_SECONDS)(deadly)
    hlcopy.worker.BEAT_SECONDS = 0.2
    # Not shorter: a busy machine is not faster too.
    leases.LEASE_SECONDS, leases.RENEW_SECONDS = LEASE_SECONDS, 0.2
    if sys.argv[1] == "worker":
        work()
    else:
        call_command("runscheduler")


if __name__ == "__main__":
    main()
