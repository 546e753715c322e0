"""`manage.py up`: everything, with one command (`make run`, `make demo`)."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from functools import partial
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hlcopy import startup
from hlcopy.embedded.state import EmbeddedServiceError, prepare_directory
from hlcopy.supervisor.console import Console
from hlcopy.supervisor.program import ProcfileError
from hlcopy.supervisor.record import read_record, take_lock
from hlcopy.supervisor.supervisor import StartError, Supervisor


class Command(BaseCommand):
    """Checks what can be checked, then starts and supervises every process until a signal."""

    help = "Start the embedded services and every process of the Procfile, and supervise them."
    requires_system_checks = ()  # nothing is served from this process

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        parser.add_argument("--demo", action="store_true", help="against the bundled simulator")
        parser.add_argument("--replay", type=Path, metavar="FILE", help="demo of recorded frames")
        parser.add_argument("--port", type=int, help="of the web server (setting PORT)")
        parser.add_argument(
            "--services-only", action="store_true", help="no process of the Procfile (to restore)"
        )

    def handle(self, **options: object) -> None:
        """Refuse what cannot work, then run until INT, TERM or HUP."""
        replay, port = options["replay"], options["port"]
        if replay is not None and not Path(str(replay)).is_file():
            raise CommandError(f"there is no file {replay}")
        plan = startup.decide(
            os.environ,
            demo=bool(options["demo"]) or replay is not None,
            replay=Path(str(replay)).resolve() if replay is not None else None,
            port=port if isinstance(port, int) else None,
            services_only=bool(options["services_only"]),
        )
        try:
            prepare_directory(plan.directory)
        except OSError as failure:
            raise CommandError(f"HLCOPY_DATA: {plan.directory}: {failure.strerror}") from None
        lock = take_lock(plan.directory)
        if lock is None:
            raise CommandError(_already_running(plan))
        with lock:
            if reason := startup.why_not_listen(plan):
                raise CommandError(reason)
            _supervise(plan)


def _supervise(plan: startup.Plan) -> None:
    """Run everything to its end; a start that fails is a CommandError."""
    console = Console(sys.stdout)
    console.say(f"data directory {plan.directory}")
    if plan.demo:
        exchange = f"a recording, {plan.replay.name}" if plan.replay else "a simulated exchange"
        console.say(f"demo: {exchange}, short intervals; nothing reaches Hyperliquid")
    open_budget = startup.clear_the_way(plan)
    supervisor = Supervisor(plan.directory, console, url=plan.url, demo=plan.demo)
    try:
        asyncio.run(supervisor.run(partial(startup.start, plan, open_budget=open_budget)))
    except (StartError, EmbeddedServiceError, ProcfileError) as failure:
        raise CommandError(str(failure)) from None
    console.say("stopped")


def _already_running(plan: startup.Plan) -> str:
    """Say who holds the data directory, and where."""
    record = read_record(plan.directory)
    if record is None:
        return f"hlcopy is being started already in {plan.directory}"
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(record.started))
    return (
        f"hlcopy runs already at {record.url} (pid {record.supervisor_pid}, since {since}, "
        f"data directory {plan.directory}); `make stop` ends it"
    )
