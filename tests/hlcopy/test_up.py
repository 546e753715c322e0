"""`manage.py up`, `status` and `stop` as people use them: the demo, whole, in its own folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from hlcopy.embedded import read_state
from hlcopy.embedded.state import CHECKOUT, random_port
from hlcopy.supervisor.children import MARK, end_all_with, running_with
from hlcopy.supervisor.record import ProgramRecord, read_record

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]
ALL = {"postgres", "valkey", "simulator", "web", "worker", "scheduler", "discovery"}


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    """Look until the condition holds."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "waited in vain"
        time.sleep(0.01)


class Installation:
    """A data directory, and commands that use it."""

    def __init__(self, directory: Path) -> None:
        """Nothing runs yet; the environment is that of a person who has set nothing else."""
        self.data = directory / "state"
        self.demo_data = directory / "state-demo"
        self.port = random_port()
        ours = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")
        self.environment = {name: value for name, value in os.environ.items() if name not in ours}
        self.environment |= {"HLCOPY_DATA": str(self.data), "PORT": str(self.port)}
        self.output = directory / "output"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=CHECKOUT,
            env=self.environment | settings,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def begin(self) -> subprocess.Popen[bytes]:
        """Start the demo and wait until it says where it is."""
        with self.output.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--demo"],
                cwd=CHECKOUT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self.process = process
        wait_for(lambda: process.poll() is not None or "hlcopy is at" in self.said)
        assert process.poll() is None, self.said
        return process

    @property
    def said(self) -> str:
        """What the terminal shows."""
        return self.output.read_text()

    @property
    def programs(self) -> dict[str, ProgramRecord]:
        """What the record says of each program."""
        record = read_record(self.demo_data)
        return {each.name: each for each in record.programs} if record else {}


@pytest.fixture
def installation() -> Iterator[Installation]:
    """An installation that is swept in the end."""
    with tempfile.TemporaryDirectory(prefix="hlcopy-up-") as name:
        path = Path(name).resolve()
        path.chmod(0o711)
        installation = Installation(path)
        yield installation
        if installation.process is not None:
            installation.process.kill()
            installation.process.wait()
        end_all_with(MARK, str(installation.demo_data), patience_seconds=1)


def test_the_demo_runs_is_shown_and_stops(installation: Installation) -> None:
    process = installation.begin()
    with urllib.request.urlopen(f"http://127.0.0.1:{installation.port}/health") as reply:
        assert reply.status == 200
    assert "nothing reaches Hyperliquid" in installation.said
    assert "first administrator: admin, password" in installation.said
    status = installation.command("status")
    assert status.returncode == 0
    assert {line.split()[0] for line in status.stdout.splitlines()[2:]} == ALL
    second = installation.command("up", "--demo")
    assert second.returncode == 1
    assert f"runs already at http://127.0.0.1:{installation.port}/" in second.stderr
    stopped = installation.command("stop")
    assert "stopped http://" in stopped.stdout
    assert process.wait(5) == 0
    assert list(running_with(MARK, str(installation.demo_data))) == []
    assert installation.command("status").returncode == 3


def test_a_demo_begun_again_is_a_new_world_in_the_database_of_the_first(
    installation: Installation,
) -> None:
    seen = []
    for _ in range(2):
        process = installation.begin()
        state = read_state(installation.demo_data)
        assert state is not None
        with psycopg.connect(state.database_url) as connection:
            seen.append(connection.execute("SELECT epoch FROM traders_eventhead").fetchone())
            left = connection.execute("SELECT FROM pg_tables WHERE tablename = 'left_behind'")
            assert left.rowcount == 0
            connection.execute("CREATE TABLE left_behind ()")
        made, said = "making a new database", installation.said
        assert (made in said) == ("applied" in said) == (len(seen) == 1)
        assert "first administrator: admin, password" in said
        process.terminate()
        assert process.wait(60) == 0
    assert seen[0] != seen[1]


def test_each_killed_program_comes_back_and_no_row_is_lost(installation: Installation) -> None:
    installation.begin()
    state = read_state(installation.demo_data)
    assert state is not None
    with psycopg.connect(state.database_url) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    before = installation.programs
    for name in sorted(ALL - {"simulator"}):
        pid = before[name].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    wait_for(
        lambda: all(
            installation.programs[name].pid not in {None, before[name].pid}
            for name in ALL - {"simulator"}
        )
    )
    assert installation.programs["simulator"].pid == before["simulator"].pid
    wait_for(lambda: answers(state.valkey_port) and kept_rows(state.database_url) == [(7,)])


def test_a_killed_supervisor_leaves_nothing_behind(installation: Installation) -> None:
    process = installation.begin()
    process.kill()
    process.wait()
    wait_for(lambda: not list(running_with(MARK, str(installation.demo_data))), seconds=30)
    state = read_state(installation.demo_data)
    assert state is not None
    assert not answers(state.postgres_port)


def test_a_port_in_use_is_named_before_anything_starts(installation: Installation) -> None:
    with socket.create_server(("127.0.0.1", installation.port)):
        refused = installation.command("up", "--demo")
    assert refused.returncode == 1
    assert f"port {installation.port} of 127.0.0.1 is in use" in refused.stderr
    assert not (installation.demo_data / "embedded.json").exists()


@pytest.mark.parametrize(
    ("host", "reason"),
    [("203.0.113.7", "Cannot assign requested address"), ("no-such-host.invalid", "Name or ")],
)
def test_a_host_that_is_not_this_machine_is_named(
    installation: Installation, host: str, reason: str
) -> None:
    refused = installation.command("up", "--demo", HOST=host)
    assert refused.returncode == 1
    assert f"cannot listen on port {installation.port} of {host}: {reason}" in refused.stderr
    assert "in use" not in refused.stderr
    assert "Traceback" not in refused.stderr


def test_wrong_settings_are_refused_with_every_reason(installation: Installation) -> None:
    refused = installation.command("up", PORT="0", HYPERLIQUID_WEIGHT_PER_MINUTE="1300")
    assert refused.returncode == 2
    assert "PORT: " in refused.stderr
    assert "HYPERLIQUID_WEIGHT_PER_MINUTE: " in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not installation.data.exists()


def test_a_data_directory_that_cannot_be_made_is_named(installation: Installation) -> None:
    refused = installation.command("up", HLCOPY_DATA="/dev/null/state")
    assert refused.returncode == 1
    assert "CommandError: HLCOPY_DATA: /dev/null/state: Not a directory" in refused.stderr


def test_a_recording_that_is_not_there_is_named(installation: Installation) -> None:
    refused = installation.command("up", "--replay", "/no/such/file")
    assert refused.returncode == 1
    assert "there is no file /no/such/file" in refused.stderr


def kept_rows(database_url: str) -> list[tuple[int]] | None:
    """Return the rows of the test's own table, None while the database is starting."""
    try:
        with psycopg.connect(database_url) as connection:
            return connection.execute("SELECT n FROM kept").fetchall()
    except psycopg.OperationalError:
        return None


def answers(port: int) -> bool:
    """Return whether something listens on the loopback port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
