"""Child processes that never outlive us: own session, killed when their parent dies."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Every child inherits both: the data directory, by which a later life finds what an earlier one
# left behind, and the one life of one supervisor.
MARK = "HLCOPY_SUPERVISED"
LIFE = "HLCOPY_LIFE"
PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def popen_options(
    *,
    death_signal: signal.Signals = signal.SIGTERM,
    account: pwd.struct_passwd | None = None,
) -> dict[str, Any]:
    """Return the Popen arguments of a child that gets `death_signal` when this thread ends.

    It is the *thread* that counts (prctl(2)), so children are started from the main thread only.
    Without Linux the child still has a session of its own.
    """
    options: dict[str, Any] = {"start_new_session": True}
    if account is not None:
        options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    if _LIBC is not None:
        options["preexec_fn"] = _die_with(os.getpid(), death_signal)
    return options


def _die_with(parent: int, death_signal: signal.Signals) -> Callable[[], None]:
    """Return what the child does between fork and exec (after its change of account)."""
    prctl = _LIBC.prctl if _LIBC is not None else None

    def ask_the_kernel() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the call above
            os._exit(1)

    return ask_the_kernel


def running_with(variable: str, value: str) -> Iterator[int]:
    """Yield the pids of processes that were started with this environment variable.

    So our own are known: by what they inherited, never by name. Where there is no /proc, or a
    process belongs to somebody else, nothing is yielded.
    """
    wanted = f"{variable}={value}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def end_all_with(variable: str, value: str, patience_seconds: float = 8) -> list[int]:
    """End such processes, by TERM and in the end by KILL; return the pids that were there."""
    pids = list(running_with(variable, value))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in running_with(variable, value):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        give_up_at = time.monotonic() + patience_seconds
        while any(running_with(variable, value)) and time.monotonic() < give_up_at:
            time.sleep(0.05)
    return pids


@contextlib.contextmanager
def guarded(life: str, patience_seconds: float) -> Iterator[int]:
    """Within the block a guardian lives, which ends all children of this life if we are killed.

    A child's death signal asks it to end; the guardian sees that it does. Yields its pid.
    """
    command = (sys.executable, "-I", "-S", __file__, life, str(patience_seconds))
    with subprocess.Popen(  # noqa: S603 (ourselves)
        command, stdin=subprocess.PIPE, start_new_session=True, env={}, cwd="/"
    ) as guardian:
        yield guardian.pid  # leaving closes the pipe: the guardian looks around and ends


if __name__ == "__main__":
    # Standard input is a pipe that nobody writes to; it ends when the supervisor does.
    sys.stdin.read()
    end_all_with(LIFE, sys.argv[1], float(sys.argv[2]))
