"""How things are measured: options shuffled in every round, the first dropped, medians.

CPU time counts more than wall time on a shared machine, so both are shown, the database's apart.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Option:
    """One way to do the work; `run` does it once and returns how many units that was."""

    name: str
    run: Callable[[], int]
    # Not measured: what the work needs, and what undoes it.
    before: Callable[[], None] = lambda: None
    afterwards: Callable[[], None] = lambda: None
    wall: list[float] = field(default_factory=list)  # seconds for one unit
    cpu: list[float] = field(default_factory=list)
    server_cpu: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Units in a second of wall time, at the median."""
        return 1 / statistics.median(self.wall)


@dataclass(frozen=True, slots=True)
class Promise:
    """One promised number and what came of it."""

    text: str
    measured: str
    kept: bool

    def __str__(self) -> str:
        """Return the line of the report."""
        return f"{'PASS' if self.kept else 'FAIL'}  {self.text}: {self.measured}"


def compare(
    options: Sequence[Option], *, rounds: int, server_cpu_seconds: Callable[[], float] = lambda: 0.0
) -> None:
    """Run every option once in each round, in random order, and keep all but the first round."""
    shuffled = list(options)
    for round_number in range(rounds + 1):
        random.shuffle(shuffled)
        for option in shuffled:
            option.before()
            server, cpu, wall = server_cpu_seconds(), time.process_time(), time.perf_counter()
            units = option.run()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            server = server_cpu_seconds() - server
            option.afterwards()
            if round_number:
                option.wall.append(wall / units)
                option.cpu.append(cpu / units)
                option.server_cpu.append(server / units)


def table(options: Sequence[Option], unit: str) -> str:
    """Return the results as text, ratios against the first option."""
    heads = (f"wall us/{unit}", f"{unit}/s", "client CPU us", "server CPU us", "wall x", "CPU x")
    lines = [f"{'':44}" + "".join(map("{:>16}".format, heads)) + "  min..max"]
    base = options[0]
    for option in options:
        wall, cpu, server = map(statistics.median, (option.wall, option.cpu, option.server_cpu))
        base_cpu = statistics.median(base.cpu) + statistics.median(base.server_cpu)
        lines.append(
            f"{option.name:44}{wall * 1e6:16,.2f}{1 / wall:16,.0f}{cpu * 1e6:16,.2f}"
            f"{server * 1e6:16,.2f}{statistics.median(base.wall) / wall:15.1f}x"
            f"{base_cpu / (cpu + server):15.1f}x"
            f"  {min(option.wall) / wall:.2f}..{max(option.wall) / wall:.2f}"
        )
    return "\n".join(lines)


def cpu_of_children(parent: int) -> Callable[[], float]:
    """Return a clock of the CPU seconds that a process and its living children have used."""

    def seconds() -> float:
        total = 0
        for status in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                # The name, in parentheses, may hold anything: count from its end.
                fields = status.read_text().rpartition(")")[2].split()
                if int(fields[1]) == parent or int(status.parent.name) == parent:
                    used = (status.parent / "schedstat").read_text().split()[0]
                    total += int(used)
        return total / 1e9

    return seconds
