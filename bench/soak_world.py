"""The processes of the soak: services that can be killed and come back, and ours."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from hlcopy.embedded import postgres, valkey
from hlcopy.embedded.state import EmbeddedState
from hlcopy.supervisor.children import popen_options
from hlcopy.supervisor.program import Program, read_procfile

DISCOVERIES = ("discovery-1", "discovery-2", "discovery-3")
COMMANDS = {
    **dict.fromkeys(DISCOVERIES, ("manage.py", "rundiscovery")),
    **{work: ("-m", "bench.soak_passes", work) for work in ("track", "heal", "retain")},
}


class Child:
    """One process that is killed and started again; its output is appended to one log."""

    def __init__(self, program: Program, log: Path) -> None:
        """Start nothing yet."""
        self.program = program
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.kills = 0

    @property
    def runs(self) -> bool:
        """Whether it is there."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it; of a service, return when it answers."""
        program = self.program
        program.before_start()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(program.environment),
                cwd=program.working_directory,
                **popen_options(death_signal=signal.SIGKILL, account=program.account),
            )
        give_up_at = time.monotonic() + 60
        while not program.is_ready(self.process.pid):
            if time.monotonic() > give_up_at:
                raise SystemExit(f"{program.name} did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.05)
        self.started_at = time.monotonic()

    def kill(self) -> None:
        """Kill -9 it, and those that it has started."""
        if self.process is None:
            return
        children = _children(self.process.pid)
        self.process.kill()
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.kills += 1

    def resident_mb(self) -> float:
        """Return its memory, 0 while it does not run."""
        try:
            pages = int(
                Path(f"/proc/{self.process.pid if self.process else 0}/statm")
                .read_text()
                .split()[1]
            )
        except OSError:
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def output(self) -> str:
        """Return what it has written."""
        return self._log.read_text(errors="replace")


class World:
    """Every process but the exchange's."""

    def __init__(self, directory: Path, state: EmbeddedState) -> None:
        """Prepare the services and name the commands; start nothing."""
        self.directory = directory
        self.postgres = self._child(postgres.prepare(directory, state))
        self.valkey = self._child(valkey.prepare(directory, state, throw_away=True))
        self.ours: dict[str, Child] = {}

    def start_web(self) -> str:
        """Start the web process as the Procfile does; return its URL once it answers."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = {**os.environ, "HOST": "127.0.0.1", "PORT": str(port)}
        programs = read_procfile(Path("Procfile").read_text(), environment, str(Path.cwd()))
        web = next(program for program in programs if program.name == "web")

        def answers(_pid: int) -> bool:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        command = (sys.executable, "-m", *web.command)
        self.ours["web"] = self._child(replace(web, command=command, is_ready=answers))
        self.ours["web"].start()
        return f"http://127.0.0.1:{port}"

    def start_ours(self) -> None:
        """Start discovery three times, and the workers; the environment names the services."""
        for name, words in COMMANDS.items():
            command = (sys.executable, *words)
            program = Program(name, command, dict(os.environ), str(Path.cwd()))
            self.ours[name] = self._child(program)
            self.ours[name].start()

    def stop(self) -> None:
        """Kill everything."""
        for child in (*self.ours.values(), self.valkey, self.postgres):
            child.kill()

    def _child(self, program: Program) -> Child:
        return Child(program, self.directory / f"{program.name}.log")


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]
