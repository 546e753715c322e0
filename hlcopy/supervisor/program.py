"""What the supervisor runs: one program, and the lines of a Procfile."""

from __future__ import annotations

import pwd
import re
import shlex
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LINE = re.compile(r"(?P<name>[A-Za-z0-9_-]+):\s*(?P<command>\S.*)")
VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::-([^}]*))?\})")


class ProcfileError(Exception):
    """A line of the Procfile is not `name: command`."""


@dataclass(frozen=True, slots=True)
class Program:
    """How to run one program in the foreground, without a shell."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = "/"
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 8  # then its group is killed
    account: pwd.struct_passwd | None = None
    before_start: Callable[[], None] = lambda: None
    is_ready: Callable[[int], bool] = lambda _pid: True  # given the pid; cheap, asked often


def read_procfile(
    text: str, environment: Mapping[str, str], working_directory: str
) -> list[Program]:
    """Return the programs of a Procfile, with `$NAME` and `${NAME:-default}` replaced.

    Raises ProcfileError naming the line that does not fit.
    """
    programs = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.fullmatch(line.strip())
        if match is None:
            raise ProcfileError(f"Procfile: {line!r} is not `name: command`")
        command = tuple(_replaced(part, environment) for part in shlex.split(match["command"]))
        programs.append(Program(match["name"], command, environment, working_directory))
    return programs


def _replaced(text: str, environment: Mapping[str, str]) -> str:
    """Replace the variables in one word of a command as a shell would, unset ones by nothing."""

    def value(match: re.Match[str]) -> str:
        return environment.get(match[1] or match[2]) or match[3] or ""

    return VARIABLE.sub(value, text)
