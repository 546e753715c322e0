"""`manage.py runscheduler`: puts the periodic jobs on the queue, once for every slot."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from types import FrameType

import dramatiq
import redis
from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection
from django.utils.module_loading import autodiscover_modules

from hlcopy import heartbeats, periodic
from hlcopy.models import Heartbeat

logger = logging.getLogger(__name__)
LOOK_EVERY_SECONDS = 0.5


class Command(BaseCommand):
    """Runs until TERM; any number may run at once, a slot is still sent once."""

    help = "Send every periodic job once in each of its slots."

    def handle(self, *_arguments: object, **_options: object) -> None:
        """Look twice a second for slots that nobody has claimed, until told to stop."""
        autodiscover_modules("tasks")  # the jobs register themselves
        stopping = threading.Event()

        def stop(_signal: int, _frame: FrameType | None) -> None:
            stopping.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        logger.info("scheduler state=started jobs=%s", ",".join(sorted(periodic.JOBS)))
        while not stopping.wait(LOOK_EVERY_SECONDS):
            step()
        with contextlib.suppress(DatabaseError):
            heartbeats.leave()
        connection.close()
        logger.info("scheduler state=stopped")


def step() -> list[str]:
    """Send what is due and return the names; PostgreSQL or Redis being away is a logged pause."""
    try:
        close_old_connections()
        heartbeats.beat(Heartbeat.Role.SCHEDULER)
        return periodic.send_due(periodic.database_now())
    except (DatabaseError, redis.RedisError, dramatiq.errors.ConnectionError) as failure:
        logger.warning("scheduler state=waiting reason=%s", type(failure).__name__)
        return []
