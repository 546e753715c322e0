"""The product's web server as its own process, for tests that need real sockets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote
from urllib.request import urlopen

import websockets
import websockets.sync.client
from django.db import connection

from hlcopy.supervisor.children import popen_options

CHECKOUT = Path(__file__).parent.parent.parent


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until the condition holds."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come true"
        time.sleep(0.01)


def database_url() -> str:
    """Return the URL of the test's own database."""
    wanted = connection.settings_dict
    password = quote(wanted["PASSWORD"], safe="")
    return (
        f"postgres://{wanted['USER']}:{password}@{wanted['HOST']}:{wanted['PORT']}/{wanted['NAME']}"
    )


class WebServer:
    """One uvicorn process; it can be stopped and started again on its port."""

    def __init__(self, redis_url: str, **environment: str) -> None:
        """Choose a port; start nothing."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = os.environ | {
            "DATABASE_URL": database_url(),
            "REDIS_URL": redis_url,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "PYTHONWARNINGS": "default",
            **environment,
        }
        self.options: list[str] = []  # uvicorn's
        self.log: IO[bytes] | None = None  # else it says what this process says
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, within_seconds: float = 20) -> None:
        """Start and wait until it answers."""
        command = [sys.executable, "-m", "uvicorn", "hlcopy.asgi:application"]
        command += ["--port", str(self.port), "--ws-per-message-deflate", "false"]
        command += ["--timeout-graceful-shutdown", "1", "--log-level", "warning", *self.options]
        self.process = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
            **popen_options(death_signal=signal.SIGKILL),
        )
        try:
            until(lambda: self.get("/health")[0] == 200, within_seconds)
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def kill(self) -> None:
        """End the process as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Return status and JSON of a path, status 0 where nobody answers."""
        try:
            with urlopen(self.url + path, timeout=15) as response:
                return response.status, json.load(response)
        except OSError as failure:
            if (status := getattr(failure, "code", 0)) and hasattr(failure, "read"):
                return status, json.loads(failure.read())
            return 0, {}

    @contextmanager
    def listen(self, query: str = "", **options: Any) -> Iterator[Updates]:
        """Open a WebSocket of live updates."""
        url = f"ws://127.0.0.1:{self.port}/ws/v1/updates{query}"
        settings: dict[str, Any] = {"proxy": None, "compression": None, "max_size": None, **options}
        with websockets.sync.client.connect(url, **settings) as socket:
            yield Updates(socket)


class Updates:
    """A client of the WebSocket that only listens."""

    def __init__(self, socket: websockets.sync.client.ClientConnection) -> None:
        """Take over an open connection."""
        self.socket = socket

    def next(self, timeout: float = 20) -> dict[str, Any]:
        """Return the next frame; raises TimeoutError."""
        frame: dict[str, Any] = json.loads(self.socket.recv(timeout))
        return frame

    def events(self, count: int) -> list[int]:
        """Return the numbers of the next events, past anything else."""
        seen: list[int] = []
        while len(seen) < count:
            frame = self.next()
            if frame["type"] == "trade_event":
                seen.append(frame["data"]["id"])
        return seen

    def close_code(self) -> int:
        """Read until the server closes; return its code."""
        with contextlib.suppress(websockets.ConnectionClosed):
            while self.next():
                pass
        code = self.socket.close_code
        assert code is not None
        return code
