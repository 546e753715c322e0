"""A PostgreSQL of the benchmark's own, with the product's durable settings (fsync on)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hlcopy.embedded import postgres
from hlcopy.embedded.state import ensure_state
from hlcopy.supervisor.children import popen_options


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens, and its process."""

    database_url: str
    pid: int


@contextmanager
def durable_postgres() -> Iterator[Server]:
    """Run the embedded PostgreSQL in a directory of its own, which goes at the end."""
    directory = Path(tempfile.mkdtemp(prefix="hlcopy-bench-")).resolve()
    try:
        state = ensure_state(directory)
        program = postgres.prepare(directory, state)
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(program.environment),
                cwd=program.working_directory,
                **popen_options(death_signal=program.stop_signal, account=program.account),
            )
        try:
            give_up_at = time.monotonic() + 60
            while not program.is_ready(process.pid):
                if process.poll() is not None or time.monotonic() > give_up_at:
                    raise SystemExit((directory / "log").read_text()[-2000:])
                time.sleep(0.05)
            yield Server(state.database_url, process.pid)
        finally:
            process.send_signal(program.stop_signal)
            process.wait(60)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
