"""What `status` and `stop` read: the running supervisor's programs, in a file that it rewrites."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import TextIO

import msgspec

RECORD_FILE = "run.json"
LOCK_FILE = "run.lock"


class ProgramRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One program's line of the table; `pid` is None while it waits for its restart."""

    name: str
    pid: int | None
    since: float  # seconds since 1970: start of this process, or end of the last one
    restarts: int
    last_error: str


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One supervisor's life."""

    supervisor_pid: int
    guardian_pid: int
    url: str
    demo: bool
    started: float  # seconds since 1970
    alive: float  # seconds since 1970, rewritten every few seconds
    alive_boot: tuple[str, float]  # the same moment as `boot_clock` had it
    programs: tuple[ProgramRecord, ...]


def read_record(directory: Path) -> RunRecord | None:
    """Return the record of the present or the last life, None if there is none to read."""
    try:
        return msgspec.json.decode((directory / RECORD_FILE).read_bytes(), type=RunRecord)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def write_record(directory: Path, record: RunRecord) -> None:
    """Replace the record; a crash leaves the old one or the new one."""
    scratch = directory / f"{RECORD_FILE}.new"
    scratch.write_bytes(msgspec.json.encode(record))
    scratch.replace(directory / RECORD_FILE)


def boot_clock() -> tuple[str, float]:
    """Return this boot of this host, and the seconds since; nobody can set this clock."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = ""
    return boot, time.clock_gettime(clock)


def dead_seconds(record: RunRecord, now: float, now_boot: tuple[str, float]) -> float:
    """Return for how long at least the supervisor has been dead; both clocks must agree.

    After a reboot the host's own age is what is certain.
    """
    boot, seconds = now_boot
    then_boot, then_seconds = record.alive_boot
    certain = seconds - then_seconds if boot == then_boot else seconds
    return min(now - record.alive, certain)


def take_lock(directory: Path) -> TextIO | None:
    """Return the open lock file of a data directory, or None if a supervisor holds it.

    The kernel releases it with the process, however that ends; children do not inherit it.
    """
    lock = (directory / LOCK_FILE).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def is_running(directory: Path) -> bool:
    """Return whether a supervisor of this data directory lives."""
    if not (directory / LOCK_FILE).exists():
        return False
    lock = take_lock(directory)
    if lock is not None:
        lock.close()
    return lock is None
