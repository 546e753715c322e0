"""What runs in every worker process beside its jobs (a middleware of Dramatiq)."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import dramatiq
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

logger = logging.getLogger(__name__)
BEAT_SECONDS = 1.0


class WorkerHeartbeat(dramatiq.Middleware):
    """In every worker process: the heartbeat, and the leases of the runs in it."""

    def __init__(self) -> None:
        """Start nothing before the fork."""
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Beat before the first message is taken, and go on."""
        _try(_beat_once)
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Give back what did not come to an end, so that another worker runs it at once."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(5)
        _try(_give_back)

    def _beat(self) -> None:
        failing = False
        while not self._ending.wait(BEAT_SECONDS):
            well = _try(_beat_once)
            if failing == well:
                logger.log(
                    logging.INFO if well else logging.WARNING,
                    "heartbeat state=%s",
                    "written" if well else "waiting",
                )
            failing = not well
        connection.close()


# The broker, and with it this module, is loaded before the models can be.
def _beat_once() -> None:
    from hlcopy import heartbeats, periodic  # noqa: PLC0415 (see above)
    from hlcopy.models import Heartbeat  # noqa: PLC0415 (see above)

    heartbeats.beat(Heartbeat.Role.WORKER)
    periodic.renew()


def _give_back() -> None:
    from hlcopy import heartbeats, periodic  # noqa: PLC0415 (see above)

    periodic.give_back()
    heartbeats.leave()


def _try(write: Callable[[], object]) -> bool:
    """Write to the database; False where it is away."""
    try:
        close_old_connections()
        write()
    except DatabaseError:
        return False
    return True
