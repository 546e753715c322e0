"""The epoch: a restore elsewhere, a failover and a log begun anew are each another log."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from hlcopy.embedded import EmbeddedState, postgres
from hlcopy.embedded.state import ensure_state
from hlcopy.supervisor.children import popen_options
from tests.web.server import until
from web.log import STATE

BOOK = """
CREATE TABLE traders_eventhead (head bigint, epoch uuid);
CREATE TABLE traders_positionevent (id bigint);
INSERT INTO traders_eventhead VALUES (7, '00000000-0000-0000-0000-000000000001')
"""
NEW_UUID = "UPDATE traders_eventhead SET epoch = gen_random_uuid()"


@contextmanager
def empty_directory() -> Iterator[Path]:
    """A data directory that the database's account can reach."""
    with tempfile.TemporaryDirectory(prefix="hlcopy-epoch-") as name:
        path = Path(name).resolve()
        path.chmod(0o711)
        yield path


@contextmanager
def running(directory: Path, state: EmbeddedState) -> Iterator[psycopg.Connection]:
    """Run a cluster of its own, made by the first call, that can begin a timeline.

    The embedded one cannot (`wal_level = minimal`), a server of the operator's own can.
    """
    program = postgres.prepare(directory, state)
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            (*program.command, "-c", "wal_level=replica"),
            stdout=log,
            stderr=log,
            env=dict(program.environment),
            cwd=program.working_directory,
            **popen_options(death_signal=program.stop_signal, account=program.account),
        )
    try:
        until(lambda: program.is_ready(process.pid), 60)
        with psycopg.connect(state.database_url, autocommit=True) as session:
            yield session
    finally:
        process.send_signal(program.stop_signal)
        process.wait(30)


def state_of(session: psycopg.Connection) -> tuple[str, int, int]:
    row = session.execute(STATE.encode()).fetchone()
    assert row is not None
    return row


@pytest.mark.processes
def test_the_epoch_changes_with_the_log_the_cluster_and_the_timeline(services):
    with empty_directory() as here, empty_directory() as elsewhere:
        state = ensure_state(here)
        with running(here, state) as session:
            session.execute(BOOK)
            first = state_of(session)
            assert first[1:] == (7, 8)
        with running(here, state) as session:
            assert state_of(session) == first  # a restart is the same log

        (cluster,) = here.glob("postgres-[0-9]*")
        with (cluster / "postgresql.auto.conf").open("a") as settings:
            settings.write("restore_command = 'false'\n")
        (cluster / "recovery.signal").touch()
        with running(here, state) as session:
            until(lambda: session.execute("SELECT pg_is_in_recovery()").fetchone() == (False,))
            promoted = state_of(session)
            session.execute(NEW_UUID)
            begun_anew = state_of(session)

        with running(elsewhere, ensure_state(elsewhere)) as session:
            session.execute(BOOK)  # as a dump brings it: with the same uuid
            restored = state_of(session)

    assert len({first[0], promoted[0], begun_anew[0], restored[0]}) == 4
    assert first[1:] == promoted[1:] == restored[1:]
