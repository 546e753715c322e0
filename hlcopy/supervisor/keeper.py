"""Keeps one program alive: start, read its output, restart with back-off, stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hlcopy.supervisor.children import popen_options
from hlcopy.supervisor.console import Console
from hlcopy.supervisor.program import Program
from hlcopy.supervisor.record import ProgramRecord

LONGEST_LINE = 1 << 20
PIPE_SECONDS = 2.0  # a descendant in another session may hold the pipe open
FINE = "ended with status 0"
LOOP_AFTER = 3  # quick failures in a row that are called a crash loop


@dataclass(frozen=True, slots=True)
class Patience:
    """The supervisor's time limits in seconds; tests shorten them."""

    first_delay: float = 0.5
    longest_delay: float = 15
    healthy_after: float = 60
    look: float = 0.02
    guardian: float = 8


class Keeper:
    """One program's life, over all its processes."""

    def __init__(
        self,
        program: Program,
        console: Console,
        patience: Patience,
        marks: Mapping[str, str],
        changed: Callable[[], None],
    ) -> None:
        """Prepare to keep `program` alive; `changed` is called when its record changes.

        `marks` join the program's environment.
        """
        self.program = program
        self.restarts = 0
        self.last_error = ""
        self.ready = asyncio.Event()
        self.failed = asyncio.Event()
        self.failures_in_a_row = 0
        self._console = console
        self._patience = patience
        self._environment = {**program.environment, **marks}
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._since = time.time()
        self._stopping = asyncio.Event()
        self._recent: deque[str] = deque(maxlen=10)

    @property
    def record(self) -> ProgramRecord:
        """The program's line of the status table."""
        return ProgramRecord(
            name=self.program.name,
            pid=self._process.pid if self._process else None,
            since=self._since,
            restarts=self.restarts,
            last_error=self.last_error,
        )

    async def keep(self) -> None:
        """Run the program, again and again, until `stop` is called."""
        delay = self._patience.first_delay
        while not self._stopping.is_set():
            began = time.monotonic()
            ending = await self.live_once()
            if self._stopping.is_set():
                break
            if time.monotonic() - began >= self._patience.healthy_after:
                delay, self.failures_in_a_row = self._patience.first_delay, 0
            self.failures_in_a_row += 1
            self.restarts += 1
            self._report(ending, delay)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
            delay = min(delay * 2, self._patience.longest_delay)

    async def stop(self) -> None:
        """Ask the program to end; what is left of its group after the patience is killed."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(self.program.stop_signal)
        try:
            await asyncio.wait_for(self._end_of(process), self.program.stop_seconds)
        except TimeoutError:
            self._console.say(f"{self.program.name} does not end: killed")
            kill_group(process.pid)

    def kill(self) -> None:
        """End the program and all its processes at once."""
        self._stopping.set()
        if self._process is not None:
            kill_group(self._process.pid)

    async def live_once(self) -> str:
        """Run one process to its end; return how it ended."""
        try:
            self.program.before_start()
            process = await asyncio.create_subprocess_exec(
                *self.program.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=self._environment,
                cwd=self.program.working_directory,
                limit=LONGEST_LINE,
                **popen_options(
                    death_signal=self.program.stop_signal, account=self.program.account
                ),
            )
        except OSError as failure:
            return f"cannot be started ({failure.strerror}: {self.program.command[0]})"
        self._process, self._since = process, time.time()
        if self._stopping.is_set():  # `stop` came before there was a process
            kill_group(process.pid)
        self._changed()
        reading = asyncio.create_task(self._read(process))
        watching = asyncio.create_task(self._watch(process))
        status = await self._end_of(process)
        watching.cancel()
        kill_group(process.pid)  # what the program itself started and left
        await asyncio.wait((reading,), timeout=PIPE_SECONDS)
        reading.cancel()
        self._process, self._since = None, time.time()
        self.ready.clear()
        return _ending(status)

    async def _end_of(self, process: asyncio.subprocess.Process) -> int:
        """Return the status once the process has ended.

        `process.wait()` would wait for the end of the pipe too, which a grandchild may hold.
        """
        while process.returncode is None:  # noqa: ASYNC110 (the child watcher sets it)
            await asyncio.sleep(self._patience.look)
        return process.returncode

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Pass on the program's lines; one that is too long is dropped, not the program."""
        while process.stdout is not None:
            try:
                line = await process.stdout.readline()
            except ValueError:
                continue
            if not line:
                return
            text = line.decode(errors="replace").rstrip()
            self._recent.append(text)
            self._console.write(self.program.name, text)

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Set `ready` as soon as the program says so."""
        while not self.program.is_ready(process.pid):  # noqa: ASYNC110 (another process tells)
            await asyncio.sleep(self._patience.look)
        self.ready.set()

    def _report(self, ending: str, delay: float) -> None:
        """Say that the program ended; in a crash loop with its last lines."""
        last_line = self._recent[-1] if self._recent else ""
        self.last_error = f"{ending}: {last_line}" if last_line else ending
        name = self.program.name
        self._console.say(f"{name} {ending}; starting it again in {delay:g} s")
        if self.failures_in_a_row % LOOP_AFTER == 0:
            self._console.say(f"{name} failed {self.failures_in_a_row} times in a row, saying:")
            for line in self._recent:
                self._console.say(f"  {line}")
        self._recent.clear()
        self.failed.set()
        self._changed()


def kill_group(leader: int) -> None:
    """Kill every process of a child's session group that is still there."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _ending(status: int) -> str:
    """Say in words how a process ended."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"
