"""The benchmark's own PostgreSQL, with the product's durable settings (fsync on), and Valkey."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hlcopy.embedded import postgres, valkey
from hlcopy.embedded.state import EmbeddedState, ensure_state
from hlcopy.supervisor.children import popen_options
from hlcopy.supervisor.program import Program


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens, and its process."""

    url: str
    pid: int


@contextmanager
def durable_postgres() -> Iterator[Server]:
    """Run the embedded PostgreSQL in a directory of its own, which goes at the end."""
    with (
        _directory() as (directory, state),
        _running(postgres.prepare(directory, state), directory) as pid,
    ):
        yield Server(state.database_url, pid)


@contextmanager
def throwaway_valkey() -> Iterator[Server]:
    """Run the embedded Valkey, which keeps nothing."""
    with (
        _directory() as (directory, state),
        _running(valkey.prepare(directory, state, throw_away=True), directory) as pid,
    ):
        yield Server(state.redis_url, pid)


@contextmanager
def _directory() -> Iterator[tuple[Path, EmbeddedState]]:
    """Make a directory with ports and passwords of its own; it goes at the end."""
    directory = Path(tempfile.mkdtemp(prefix="hlcopy-bench-")).resolve()
    try:
        yield directory, ensure_state(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _running(program: Program, directory: Path) -> Iterator[int]:
    """Run a program until the end of the block; yield its process, ready."""
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
        yield process.pid
    finally:
        process.send_signal(program.stop_signal)
        process.wait(60)
