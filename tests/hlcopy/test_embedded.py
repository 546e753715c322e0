"""The embedded services: state, accounts, ports, and what survives what."""

from __future__ import annotations

import os
import pwd
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from hlcopy.embedded import EmbeddedState, data_directory, postgres, read_state, valkey
from hlcopy.embedded.account import can_reach
from hlcopy.embedded.state import CHECKOUT, EmbeddedServiceError, demo_directory, ensure_state
from hlcopy.supervisor.children import popen_options
from hlcopy.supervisor.program import Program
from tests.services import TEMPLATE, copy_template


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty data directory that the database's account can reach."""
    with tempfile.TemporaryDirectory(prefix="hlcopy-embedded-") as name:
        path = Path(name).resolve()
        path.chmod(0o711)
        yield path


@pytest.fixture
def state(directory: Path) -> EmbeddedState:
    """The state of a directory with a cluster that is initialised already."""
    copy_template(directory)
    (directory / "embedded.json").write_bytes((TEMPLATE / "embedded.json").read_bytes())
    return ensure_state(directory)


@contextmanager
def running(program: Program) -> Iterator[subprocess.Popen[bytes]]:
    """Run one embedded service until the block ends."""
    program.before_start()
    process = subprocess.Popen(
        program.command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=dict(program.environment),
        cwd=program.working_directory,
        **popen_options(death_signal=program.stop_signal, account=program.account),
    )
    try:
        wait_for(lambda: program.is_ready(process.pid))
        yield process
    finally:
        process.send_signal(program.stop_signal)
        process.wait()


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    """Look until the condition holds."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "waited in vain"
        time.sleep(0.01)


def test_the_state_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    state = ensure_state(tmp_path)
    assert ensure_state(tmp_path) == state == read_state(tmp_path)
    assert stat.S_IMODE((tmp_path / "embedded.json").stat().st_mode) == 0o600
    assert len({state.postgres_password, state.valkey_password, state.secret_key}) == 3
    assert state.secret_key not in repr(state)
    assert state.valkey_password not in repr(state)


def test_a_port_that_somebody_took_is_replaced(tmp_path: Path) -> None:
    before = ensure_state(tmp_path)
    with socket.create_server(("127.0.0.1", before.valkey_port)):
        after = ensure_state(tmp_path)
    assert after.valkey_port != before.valkey_port
    assert after.postgres_port == before.postgres_port
    assert after.secret_key == before.secret_key


def test_the_data_directory_is_the_one_that_was_chosen(tmp_path: Path) -> None:
    assert data_directory({"HLCOPY_DATA": str(tmp_path / "there")}) == tmp_path / "there"
    assert demo_directory(tmp_path / "there") == tmp_path / "there-demo"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may have to keep it elsewhere")
def test_the_data_directory_is_in_the_checkout() -> None:
    assert data_directory({}) == CHECKOUT / ".data"


def test_a_closed_folder_on_the_way_is_out_of_reach(directory: Path) -> None:
    inner = directory / "closed" / "inner"
    inner.mkdir(parents=True)
    inner.chmod(0o755)
    stranger = pwd.struct_passwd(("x", "x", 54321, 54321, "", "/", "/bin/false"))
    inner.parent.chmod(0o711)
    assert can_reach(inner, stranger)
    inner.parent.chmod(0o700)
    assert not can_reach(inner, stranger)


def test_the_page_cache_follows_the_memory_that_a_container_may_use(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    for content, wanted in (("2147483648\n", "256MB"), ("536870912\n", "128MB"), ("1\n", "128MB")):
        limit.write_text(content)
        assert postgres.buffers(limit) == wanted
    limit.write_text("max\n")
    assert postgres.buffers(limit) == postgres.buffers(tmp_path / "missing")


@pytest.mark.processes
def test_rows_survive_a_killed_postgresql(directory: Path, state: EmbeddedState) -> None:
    program = postgres.prepare(directory, state)
    with running(program) as process:
        with psycopg.connect(state.database_url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (n int)")
            connection.execute("INSERT INTO kept VALUES (7)")
        process.kill()
    with running(program), psycopg.connect(state.database_url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchall() == [(7,)]


@pytest.mark.processes
def test_a_password_is_needed(directory: Path, state: EmbeddedState) -> None:
    wrong = state.database_url.replace(state.postgres_password, "wrong")
    with (
        running(postgres.prepare(directory, state)),
        running(valkey.prepare(directory, state)),
    ):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
        with redis.Redis(port=state.valkey_port) as client, pytest.raises(redis.RedisError):
            client.ping()


@pytest.mark.processes
def test_a_pid_file_whose_number_is_somebody_elses_is_no_obstacle(
    directory: Path, state: EmbeddedState
) -> None:
    program = postgres.prepare(directory, state)
    with running(program) as process:
        process.kill()
    file = next(directory.glob("postgres-*")) / "postmaster.pid"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    with running(program), psycopg.connect(state.database_url):
        pass


@pytest.mark.processes
def test_an_orphan_of_an_earlier_life_is_stopped(directory: Path, state: EmbeddedState) -> None:
    program = postgres.prepare(directory, state)
    with running(program) as orphan, running(program):
        assert orphan.wait(5) == 0
        with psycopg.connect(state.database_url):
            pass


@pytest.mark.processes
def test_a_broken_off_initialisation_is_begun_again(directory: Path) -> None:
    state = ensure_state(directory)
    cluster = Path(postgres.prepare(directory, state).command[2])
    cluster.rename(cluster.with_name(f"{cluster.name}.new"))
    assert Path(postgres.prepare(directory, state).command[2]).joinpath("PG_VERSION").exists()
    assert not cluster.with_name(f"{cluster.name}.new").exists()


def test_data_of_another_major_version_is_refused(directory: Path) -> None:
    (directory / "postgres-9").mkdir()
    with pytest.raises(EmbeddedServiceError, match="holds postgres-9, but the installed"):
        postgres.prepare(directory, ensure_state(directory))


@pytest.mark.processes
def test_jobs_survive_a_restart_of_valkey(directory: Path, state: EmbeddedState) -> None:
    for length in (1, 2):
        with (
            running(valkey.prepare(directory, state)),
            redis.Redis.from_url(state.redis_url) as client,
        ):
            assert client.rpush("jobs", "one") == length
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
