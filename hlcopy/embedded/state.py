"""Where the embedded services keep their state, and the ports and secrets that are made once."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from hlcopy.configuration import ConfigurationError
from hlcopy.embedded.account import can_reach, database_account

CHECKOUT = Path(__file__).resolve().parents[2]
# The whole environment of an embedded service: nothing of ours, no secret.
SERVICE_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
STATE_FILE = "embedded.json"


class EmbeddedServiceError(Exception):
    """An embedded service cannot be prepared; the text says what to do."""


@dataclass(frozen=True, slots=True)
class EmbeddedState:
    """Ports and secrets of one data directory's services, generated once."""

    postgres_port: int
    valkey_port: int
    postgres_password: str = field(repr=False)
    valkey_password: str = field(repr=False)
    secret_key: str = field(repr=False)

    @property
    def database_url(self) -> str:
        """Where the embedded PostgreSQL listens, with its password."""
        return f"postgres://hlcopy:{self.postgres_password}@127.0.0.1:{self.postgres_port}/hlcopy"

    @property
    def redis_url(self) -> str:
        """Where the embedded Valkey listens, with its password."""
        return f"redis://:{self.valkey_password}@127.0.0.1:{self.valkey_port}/0"


def data_directory(environ: Mapping[str, str]) -> Path:
    """Return where the state lives: `HLCOPY_DATA`, else `.data` in the checkout.

    As root it is `/var/lib/hlcopy-<hash of the checkout>` where the account that PostgreSQL runs
    as (it refuses root) could not reach the checkout.
    """
    chosen = environ.get("HLCOPY_DATA", "").strip()
    if chosen:
        return Path(chosen).expanduser().resolve()
    account = database_account()
    if account is not None and not can_reach(CHECKOUT, account):
        mark = hashlib.sha256(os.fsencode(CHECKOUT)).hexdigest()[:12]
        return Path(f"/var/lib/hlcopy-{mark}")
    return CHECKOUT / ".data"


def read_state(directory: Path) -> EmbeddedState | None:
    """Return the state kept in a data directory, or None before the first start.

    Raises ConfigurationError where it belongs to another account.
    """
    try:
        stored = json.loads((directory / STATE_FILE).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise ConfigurationError(
            [f"HLCOPY_DATA: {directory} belongs to another account; choose another folder"]
        ) from None
    return EmbeddedState(**stored)


def ensure_state(directory: Path) -> EmbeddedState:
    """Return the state, made on the first call; ports that others have taken since are replaced.

    Call it only while no service of this data directory runs.
    """
    prepare_directory(directory)
    kept = read_state(directory)
    state = kept or EmbeddedState(
        postgres_port=0,
        postgres_password=secrets.token_urlsafe(24),
        valkey_port=0,
        valkey_password=secrets.token_urlsafe(24),
        secret_key=secrets.token_urlsafe(48),
    )
    postgres_port = _usable_port(state.postgres_port, taken=0)
    state = replace(
        state,
        postgres_port=postgres_port,
        valkey_port=_usable_port(state.valkey_port, taken=postgres_port),
    )
    if state != kept:
        _write_privately(directory / STATE_FILE, json.dumps(asdict(state), indent=1))
    return state


def demo_directory(directory: Path) -> Path:
    """Return the demo's own data directory, beside the real one."""
    return directory.with_name(f"{directory.name}-demo")


def prepare_directory(directory: Path) -> None:
    """Make the data directory, closed to others; as root its files are reachable by full path."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o711 if database_account() else 0o700)


def listening_failure(port: int, host: str = "127.0.0.1") -> OSError | None:
    """Return what a server that would listen on this port now would fail with, if it would."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as failure:
            return failure
    return None


def random_port() -> int:
    """Return a port of the loopback address that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _usable_port(port: int, *, taken: int) -> int:
    """Return `port` if it is set and free, else a random free one that is not `taken`."""
    while port == taken or not port or listening_failure(port):
        port = random_port()
    return port


def _write_privately(path: Path, text: str) -> None:
    """Replace a file that only its owner may read, whole or not at all."""
    scratch = path.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
