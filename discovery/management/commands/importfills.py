"""`manage.py importfills`: counts the fills that a node has written, or is writing."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from discovery.database import leave_the_pool
from discovery.importing import TakenOverError
from discovery.node import NodeImport


class Command(BaseCommand):
    """Runs to the end of the files, or with --follow until TERM or INT."""

    help = "Count a node's files of fills (node_fills, node_fills_by_block; plain, .lz4, .gz)."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the paths."""
        parser.add_argument(
            "paths", nargs="+", type=Path, metavar="PATH", help="a file, or a folder of a node"
        )
        parser.add_argument(
            "--follow", action="store_true", help="go on with what a running node appends"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Import, and say what happened."""
        leave_the_pool()
        stop = threading.Event()
        signals = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, lambda *_: stop.set()) for number in signals]
        importing = NodeImport(stop=stop, show=self._show if self.stderr.isatty() else None)
        work = importing.follow if options["follow"] else importing.run
        try:
            work(options["paths"])
        except OSError as failure:
            raise CommandError(f"{failure.filename}: {failure.strerror}") from failure
        except TakenOverError as failure:
            raise CommandError(str(failure)) from failure
        finally:
            for number, handler in zip(signals, before, strict=True):
                signal.signal(number, handler)
            if self.stderr.isatty():
                self.stderr.write("\r\033[K", ending="")
        for damage in importing.summary.named:
            self.stderr.write(damage)
        self.stdout.write(str(importing.summary))
        if stop.is_set() and not options["follow"]:
            self.stdout.write("stopped before the end: the same command goes on from here")

    def _show(self, line: str) -> None:
        self.stderr.write(f"\r\033[K{line}", ending="")
        self.stderr.flush()
