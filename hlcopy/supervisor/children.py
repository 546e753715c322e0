"""Child processes that never outlive us: own session, killed when their parent dies."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Every child inherits it: how a later life finds what an earlier one left behind.
MARK = "HLCOPY_SUPERVISED"
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


def left_behind(directory: Path) -> Iterator[int]:
    """Yield the pids of processes that an earlier supervisor of this data directory started.

    They are known by their inherited environment, never by name; where there is no /proc, or it
    belongs to somebody else, nothing is yielded.
    """
    mark = f"{MARK}={directory}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def stop_left_behind(directory: Path, patience_seconds: float = 8) -> list[int]:
    """End what an earlier life of this data directory left running; return the pids."""
    pids = list(left_behind(directory))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in left_behind(directory):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        give_up_at = time.monotonic() + patience_seconds
        while any(left_behind(directory)) and time.monotonic() < give_up_at:
            time.sleep(0.05)
    return pids
