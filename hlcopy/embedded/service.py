"""A data service as its starter sees it: a command, and the way to know that it is ready."""

from __future__ import annotations

import pwd
import signal
from collections.abc import Callable
from dataclasses import dataclass


class EmbeddedServiceError(Exception):
    """An embedded service cannot be prepared; the text says what to do."""


@dataclass(frozen=True, slots=True)
class DataService:
    """How to run one embedded service in the foreground."""

    name: str
    command: tuple[str, ...]
    stop_signal: signal.Signals
    account: pwd.struct_passwd | None
    prepare: Callable[[], None]  # called before every start
    is_ready: Callable[[int], bool]  # given the pid; cheap, asked many times a second
