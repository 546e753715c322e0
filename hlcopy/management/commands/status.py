"""`manage.py status`: what runs, since when, how often restarted, and why."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime

from django.conf import settings
from django.core.management.base import BaseCommand

from hlcopy.embedded.state import demo_directory
from hlcopy.supervisor.record import RunRecord, is_running, read_record

NOT_RUNNING = 3  # the exit status that init scripts use for it
COLUMNS = "{:<12}{:>8}  {:<20}{:>9}  {}"


class Command(BaseCommand):
    """Prints one table for each supervisor of this checkout; exit status 3 if there is none."""

    help = "Show the supervised processes: pid, since, restarts, last error."
    requires_system_checks = ()

    def handle(self, **_options: object) -> None:
        """Print what the supervisors wrote down last."""
        directories = (settings.DATA_DIRECTORY, demo_directory(settings.DATA_DIRECTORY))
        records = [read_record(each) for each in directories if is_running(each)]
        for record in records:
            if record is not None:
                self.stdout.write(table(record, time.time()))
        if not records:
            self.stdout.write("hlcopy does not run")
            sys.exit(NOT_RUNNING)


def table(record: RunRecord, now: float) -> str:
    """Return the table of one supervisor; `now` in seconds since 1970."""
    kind = "demo" if record.demo else "hlcopy"
    age = max(0, now - record.alive)
    lines = [
        f"{kind} at {record.url}, supervisor pid {record.supervisor_pid}, written {age:.0f} s ago",
        COLUMNS.format("process", "pid", "since (UTC)", "restarts", "last error"),
    ]
    for program in record.programs:
        since = datetime.fromtimestamp(program.since, UTC).strftime("%Y-%m-%d %H:%M:%S")
        lines.append(
            COLUMNS.format(
                program.name, program.pid or "waits", since, program.restarts, program.last_error
            ).rstrip()
        )
    return "\n".join(lines)
