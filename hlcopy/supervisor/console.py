"""The terminal: one line at a time, each with the name of the program that said it."""

from __future__ import annotations

import contextlib
import os
from typing import TextIO

COLOURS = (36, 33, 35, 32, 34, 31, 96, 93)  # ANSI foregrounds, readable on dark and light
OWN_NAME = "hlcopy"


class Console:
    """Writes prefixed lines; a terminal that has gone away is no error."""

    def __init__(self, out: TextIO) -> None:
        """Colour the prefixes where `out` is a terminal and NO_COLOR (no-color.org) is unset."""
        self._out = out
        self._coloured = out.isatty() and not os.environ.get("NO_COLOR")
        self._colour_of: dict[str, int] = {}

    def say(self, text: str) -> None:
        """Write what the supervisor itself has to say."""
        for line in text.splitlines():
            self.write(OWN_NAME, line)

    def write(self, name: str, line: str) -> None:
        """Write one line of a program."""
        prefix = f"{name:<10}|"
        if self._coloured:
            colour = self._colour_of.setdefault(name, COLOURS[len(self._colour_of) % len(COLOURS)])
            prefix = f"\033[{colour}m{prefix}\033[0m"
        with contextlib.suppress(OSError, ValueError):
            self._out.write(f"{prefix} {line}\n")
            self._out.flush()
