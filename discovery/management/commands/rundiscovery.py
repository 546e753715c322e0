"""`manage.py rundiscovery`: watches the trade feed and makes every address a trader."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from discovery.process import Discovery
from discovery.recording import Recorder
from discovery.replay import replay
from discovery.status import StatusLine
from exchange.connection_permits import ConnectionPermits


class Command(BaseCommand):
    """Runs until TERM or INT, then commits what it has received."""

    help = "Watch the exchange's trade feed and store the address of every trader."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add recording and replay."""
        parser.add_argument("--record", type=Path, metavar="FILE", help="append every frame (.gz)")
        parser.add_argument("--replay", type=Path, metavar="FILE", help="play recorded frames")
        parser.add_argument(
            "--speed", type=float, default=1.0, help="of the replay; 0: as fast as it goes"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run one of the two."""
        if options["speed"] < 0:
            raise CommandError("--speed is below 0")
        try:
            if options["replay"] is not None:
                unsaved = asyncio.run(self._replay(options["replay"], options["speed"]))
            else:
                unsaved = asyncio.run(self._run(options["record"]))
        except OSError as failure:
            raise CommandError(f"{failure.filename}: {failure.strerror}") from failure
        if unsaved:
            self.stderr.write(f"{unsaved:,} received trades could not be saved")
            # A connection attempt that hangs must not hold the process beyond its five seconds.
            logging.shutdown()
            sys.stdout.flush()
            os._exit(1)

    async def _run(self, record: Path | None) -> int:
        configuration = settings.CONFIGURATION
        stop = stop_signal()
        async with ConnectionPermits(settings.REDIS_URL) as permits:
            discovery = Discovery(
                url=configuration.hyperliquid_ws_url,
                coins=configuration.hyperliquid_coins,
                sockets=configuration.hyperliquid_sockets,
                permits=permits,
                recorder=Recorder(record) if record is not None else None,
                status=StatusLine(self.stdout.write) if self.stdout.isatty() else None,
            )
            return await discovery.run(stop)

    async def _replay(self, path: Path, speed: float) -> int:
        summary = await replay(path, speed=speed, stop=stop_signal())
        self.stdout.write(str(summary))
        return summary.unsaved


def stop_signal() -> asyncio.Event:
    """Return an event that TERM or INT sets."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
