"""A web server, its browsers and the log's writer, for the benchmarks of live updates."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import transaction

from traders import eventlog
from traders.outcome import NewEvent
from traders.positions import Change

OURS, CLASSIC = "hlcopy.asgi:application", "bench.subscriptions:application"
PATH = "/ws/v1/updates"


class WebProcess:
    """One uvicorn with the product's options, its CPU time and its memory."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        """Take over a running process."""
        self.url = f"ws://127.0.0.1:{port}{PATH}"
        self._directory = Path(f"/proc/{process.pid}")

    def cpu_seconds(self) -> float:
        """Return what all its threads have used."""
        used = 0
        for thread in self._directory.glob("task/*/schedstat"):
            with suppress(OSError):
                used += int(thread.read_text().split()[0])
        return used / 1e9

    def resident_bytes(self) -> int:
        """Return its memory."""
        pages = int((self._directory / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def web(application: str) -> Iterator[WebProcess]:
    """Run a web server until the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", application, "--port", str(port)]
    command += ["--ws-per-message-deflate", "false", "--no-access-log", "--lifespan", "off"]
    # The load generator answers no pings; nothing here takes so long.
    command += ["--log-level", "warning", "--ws-ping-interval", "600"]
    command += ["--timeout-graceful-shutdown", "1"]
    process = subprocess.Popen(command)
    try:
        give_up_at = time.monotonic() + 60
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise SystemExit("the web server did not start")
            time.sleep(0.05)
        yield WebProcess(port, process)
    finally:
        process.kill()
        process.wait()


class Browsers:
    """Sockets in another process; see `bench.browsers`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Take over a process that is ready."""
        self._process = process

    def say(self, command: str) -> None:
        """Let them begin to count or to note times."""
        if self._process.stdin is None:
            raise SystemExit("no standard input")
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Return what they counted or noted."""
        if self._process.stdout is None:
            raise SystemExit("no standard output")
        return json.loads(self._process.stdout.readline())


@contextmanager
def browsers(url: str, count: int, message: str = "", *, stuck: bool = False) -> Iterator[Browsers]:
    """Open sockets until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.browsers", url, str(count), message],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "STUCK": "1" if stuck else ""},
    )
    try:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise SystemExit("the browsers cannot connect")
        yield Browsers(process)
    finally:
        process.kill()
        process.wait()


def commit(count: int, **details: str) -> int:
    """Append events as tracking does, in one transaction; return the log's head."""
    change = Change("OPEN", "BTC", "BUY", Decimal(0), Decimal("1.5"), Decimal("60000.1"))
    event = NewEvent(
        7, f"0x{7:040x}", change, "snapshot", time.time_ns() // 1_000_000, details=details
    )
    with transaction.atomic():
        head = eventlog.append(eventlog.encoded([event] * count))
    if head is None:
        raise SystemExit("nothing was appended")
    return head
