"""Runs all programs in their order until a signal comes, and writes the record for `status`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hlcopy.supervisor.children import LIFE, MARK, guarded
from hlcopy.supervisor.console import Console
from hlcopy.supervisor.keeper import FINE, Keeper, Patience
from hlcopy.supervisor.program import Program
from hlcopy.supervisor.record import RunRecord, boot_clock, write_record

STAMP_EVERY_SECONDS = 2.0
GIVE_UP_AFTER = 5  # failures in a row of something that the start itself needs
SAY_EVERY_SECONDS = 10.0
ONE_SIGNAL_SECONDS = 1.0  # make and timeout(1) pass on what the group gets as well
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StartError(Exception):
    """The start cannot go on; everything that was started has been stopped."""


@dataclass(frozen=True, slots=True)
class Group:
    """Programs that stop together; `needed`: the others cannot live without them."""

    tasks: dict[Keeper, asyncio.Task[Any]]
    needed: bool


class Supervisor:
    """Starts groups of programs one after the other and stops them in the opposite order."""

    def __init__(
        self,
        directory: Path,
        console: Console,
        *,
        url: str = "",
        demo: bool = False,
        patience: Patience | None = None,
    ) -> None:
        """Keep the record in `directory`; `url` and `demo` are only shown."""
        self.console = console
        self._directory = directory
        self._url = url
        self._demo = demo
        self._patience = patience or Patience()
        self._started = time.time()
        self._signalled = 0.0
        self._guardian_pid = 0
        self._life = secrets.token_hex(8)
        self._marks = {MARK: str(directory), LIFE: self._life}
        self._groups: list[Group] = []
        self._stopping = asyncio.Event()

    async def run(self, start: Callable[[Supervisor], Coroutine[Any, Any, None]]) -> None:
        """Call `start`, which starts groups; wait for INT, TERM or HUP; stop everything.

        What `start` raises is raised again once everything has been stopped.
        """
        with guarded(self._life, self._patience.guardian) as self._guardian_pid:
            await self._run(start)

    async def _run(self, start: Callable[[Supervisor], Coroutine[Any, Any, None]]) -> None:
        """Start, wait for a signal, stop."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        stamping = asyncio.create_task(self._stamp())
        starting = asyncio.create_task(start(self))
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((starting, stopped), return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            await stopped
        finally:
            for task in (starting, stopped):
                task.cancel()
            await asyncio.wait((starting, stopped))
            await self._stop()
            stamping.cancel()
            self._write()

    async def start_needed(self, programs: Iterable[Program]) -> None:
        """Start programs side by side and wait until each is ready, however long that takes.

        Raises StartError where one fails again and again.
        """
        group = self._new_group(needed=True)
        keepers = [self._keep(program, group) for program in programs]
        for keeper in keepers:
            while not await self._ready_or_failed(keeper):
                if keeper.failures_in_a_row >= GIVE_UP_AFTER:
                    raise StartError(f"{keeper.program.name} {keeper.last_error}")

    async def start(self, programs: Iterable[Program]) -> None:
        """Start programs one after the other: the next when this one is ready, or has failed."""
        group = self._new_group(needed=False)
        for program in programs:
            await self._ready_or_failed(self._keep(program, group))

    async def until_ready(self) -> None:
        """Wait until every program is ready."""
        for group in self._groups:
            for keeper in group.tasks:
                await keeper.ready.wait()

    async def run_once(self, program: Program) -> None:
        """Run a program to its end; raises StartError if it fails."""
        keeper = Keeper(program, self.console, self._patience, self._marks, self._write)
        task = asyncio.create_task(keeper.live_once())
        group = self._new_group(needed=False)
        group.tasks[keeper] = task
        ending = await asyncio.shield(task)
        self._groups.remove(group)
        if ending != FINE:
            raise StartError(f"{program.name} {ending}")

    def _new_group(self, *, needed: bool) -> Group:
        """Begin a group of programs, stopped before the groups that are there already."""
        group = Group({}, needed)
        self._groups.append(group)
        return group

    def _keep(self, program: Program, group: Group) -> Keeper:
        """Start one program and keep it alive."""
        keeper = Keeper(program, self.console, self._patience, self._marks, self._write)
        group.tasks[keeper] = asyncio.create_task(keeper.keep())
        return keeper

    async def _ready_or_failed(self, keeper: Keeper) -> bool:
        """Wait until a program is ready (True) or has failed (False), saying so now and then."""
        keeper.failed.clear()
        outcomes = {asyncio.create_task(each.wait()) for each in (keeper.ready, keeper.failed)}
        while True:
            done, _ = await asyncio.wait(
                outcomes, timeout=SAY_EVERY_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if done:
                break
            self.console.say(f"waiting for {keeper.program.name}")
        for task in outcomes:
            task.cancel()
        return keeper.ready.is_set()

    def _on_signal(self, number: signal.Signals) -> None:
        """Begin to stop; a second signal does not wait for what can be killed without loss."""
        if not self._stopping.is_set():
            self._signalled = time.monotonic()
            self.console.say(f"stopping ({number.name})")
            self._stopping.set()
            return
        if time.monotonic() - self._signalled < ONE_SIGNAL_SECONDS:
            return
        for group in self._groups:
            if not group.needed:
                for keeper in group.tasks:
                    keeper.kill()

    async def _stop(self) -> None:
        """Stop the last group first, so that data services outlive what uses them."""
        for group in reversed(self._groups):
            await asyncio.gather(*(keeper.stop() for keeper in group.tasks))
            await asyncio.gather(*group.tasks.values())

    async def _stamp(self) -> None:
        """Rewrite the record every few seconds: it tells a later start when we last lived."""
        while True:
            self._write()
            await asyncio.sleep(STAMP_EVERY_SECONDS)

    def _write(self) -> None:
        """Write the record; a full disk must not end the supervisor."""
        record = RunRecord(
            supervisor_pid=os.getpid(),
            guardian_pid=self._guardian_pid,
            url=self._url,
            demo=self._demo,
            started=self._started,
            alive=time.time(),
            alive_boot=boot_clock(),
            programs=tuple(keeper.record for group in self._groups for keeper in group.tasks),
        )
        with contextlib.suppress(OSError):
            write_record(self._directory, record)
