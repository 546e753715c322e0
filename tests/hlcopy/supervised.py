"""A supervisor in a process of its own: `python -m tests.hlcopy.supervised FOLDER`.

FOLDER holds `Procfile`, and `Procfile.needed` for programs that must be ready (have written
`NAME.ready`) before it. Times are short; the record and the lock are the product's.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from hlcopy.supervisor.children import MARK, end_all_with
from hlcopy.supervisor.console import Console
from hlcopy.supervisor.keeper import Patience
from hlcopy.supervisor.program import Program, read_procfile
from hlcopy.supervisor.record import take_lock
from hlcopy.supervisor.supervisor import StartError, Supervisor

PATIENCE = Patience(first_delay=0.05, longest_delay=0.2, healthy_after=60, guardian=0.3)


def programs(folder: Path, name: str) -> list[Program]:
    """Read one Procfile of the folder; its programs stop within half a second or are killed."""
    file = folder / name
    text = file.read_text() if file.exists() else ""
    return [
        replace(each, stop_seconds=0.5) for each in read_procfile(text, os.environ, str(folder))
    ]


def has_said_so(file: Path, _pid: int) -> bool:
    """Return whether a program has written its file."""
    return file.exists()


async def start(folder: Path, supervisor: Supervisor) -> None:
    """Start what is needed, then the rest."""
    needed = [
        replace(each, is_ready=partial(has_said_so, folder / f"{each.name}.ready"))
        for each in programs(folder, "Procfile.needed")
    ]
    await supervisor.start_needed(needed)
    await supervisor.start(programs(folder, "Procfile"))
    supervisor.console.say("all started")


def main(folder: Path) -> int:
    """Run until a signal; 4 where the lock is taken, 5 where the start failed."""
    lock = take_lock(folder)
    if lock is None:
        return 4
    with lock:
        end_all_with(MARK, str(folder), patience_seconds=0.3)
        supervisor = Supervisor(folder, Console(sys.stdout), url="here", patience=PATIENCE)
        try:
            asyncio.run(supervisor.run(lambda it: start(folder, it)))
        except StartError as failure:
            sys.stdout.write(f"{failure}\n")
            return 5
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
