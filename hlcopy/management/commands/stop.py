"""`manage.py stop`: ends what runs, and waits until it has."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from hlcopy.embedded.state import demo_directory
from hlcopy.supervisor.record import is_running, read_record

PATIENCE_SECONDS = 80  # a database may take a minute for its last checkpoint


class Command(BaseCommand):
    """Sends TERM to every supervisor of this checkout, the demo's included."""

    help = "Stop what `up` started."
    requires_system_checks = ()

    def handle(self, **_options: object) -> None:
        """Stop each running supervisor; raises CommandError where one does not end."""
        directories = (settings.DATA_DIRECTORY, demo_directory(settings.DATA_DIRECTORY))
        running = [each for each in directories if is_running(each)]
        for directory in running:
            self.stdout.write(stop(directory))
        if not running:
            self.stdout.write("hlcopy does not run")


def stop(directory: Path) -> str:
    """Stop the supervisor of a data directory; return what to tell."""
    record = read_record(directory)
    if record is None:
        raise CommandError(f"{directory} is locked, but nothing says by which process")
    began = time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        os.kill(record.supervisor_pid, signal.SIGTERM)
    while is_running(directory):
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise CommandError(f"pid {record.supervisor_pid} did not end within a minute")
        time.sleep(0.05)
    return f"stopped {record.url} after {time.monotonic() - began:.1f} s"
