"""Pytest plugin: a PostgreSQL and a Valkey private to the run, started only when a test needs them.

Loaded with `-p tests.services`, before Django's settings. Where DATABASE_URL or REDIS_URL is set
already, that server is used. Where tests run in several processes, each has servers of its own. A
test needs the services when it uses the database (pytest-django's mark or fixtures) or the fixture
`services`; such tests carry the mark `services`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hlcopy.embedded import EmbeddedState, postgres, valkey
from hlcopy.embedded.state import CHECKOUT, EmbeddedServiceError, ensure_state
from hlcopy.supervisor.children import popen_options
from hlcopy.supervisor.program import Program

NEEDS_SERVICES = {"services", "db", "transactional_db", "django_db_setup", "live_server"}
PREFIX = "hlcopy-test-"
#: Names the variables that a run has chosen itself; its worker processes choose anew.
CHOSEN = "TESTS_CHOSEN_SERVERS"
TEMPLATE = CHECKOUT / ".cache" / f"test-services-{os.geteuid()}"


class RunServices:
    """The run's own servers, in a directory that goes when they do."""

    def __init__(self) -> None:
        """Choose ports and passwords, and tell the settings about them; start nothing."""
        for variable in os.environ.pop(CHOSEN, "").split():
            del os.environ[variable]
        self.directory = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        self._lock = (self.directory / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.state = replace(
            ensure_state(self.directory), postgres_password=template_state().postgres_password
        )
        self._wanted = [
            (variable, module)
            for variable, module in (("DATABASE_URL", postgres), ("REDIS_URL", valkey))
            if not os.environ.get(variable)
        ]
        os.environ[CHOSEN] = " ".join(variable for variable, _ in self._wanted)
        self._running: list[tuple[Program, subprocess.Popen[bytes]]] = []
        # So that every process of the run has the same generated secret key, and none reads a
        # developer's own data.
        os.environ["HLCOPY_DATA"] = str(self.directory)
        os.environ.setdefault("DATABASE_URL", self.state.database_url)
        os.environ.setdefault("REDIS_URL", self.state.redis_url)
        self.database_url = os.environ["DATABASE_URL"]
        self.redis_url = os.environ["REDIS_URL"]

    def start(self) -> None:
        """Start what the environment did not bring and wait until it answers (once)."""
        wanted, self._wanted = self._wanted, []
        started = []
        for _, module in wanted:
            if module is postgres:
                copy_template(self.directory)
            service = module.prepare(self.directory, self.state, throw_away=True)
            service.before_start()
            with (self.directory / f"{service.name}.log").open("wb") as log:
                process = subprocess.Popen(
                    service.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(service.environment),
                    cwd=service.working_directory,
                    **popen_options(death_signal=service.stop_signal, account=service.account),
                )
            self._running.append((service, process))
            started.append((service, process))
        for service, process in started:
            self._wait_until_ready(service, process)

    def _wait_until_ready(self, service: Program, process: subprocess.Popen[bytes]) -> None:
        give_up_at = time.monotonic() + 60
        while not service.is_ready(process.pid):
            if process.poll() is not None or time.monotonic() > give_up_at:
                log = (self.directory / f"{service.name}.log").read_text()[-2000:]
                pytest.exit(f"the tests' {service.name} did not start:\n{log}", returncode=3)
            time.sleep(0.01)

    def stop(self) -> None:
        """End the servers and remove their directory."""
        for service, process in self._running:
            process.send_signal(service.stop_signal)
        for _, process in self._running:
            process.wait()
        self._lock.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def template_state() -> EmbeddedState:
    """Return the state of the cached cluster; every run's cluster begins as its copy."""
    return ensure_state(TEMPLATE)


def copy_template(directory: Path) -> None:
    """Copy the cached cluster, made by the first run; without it the run makes its own."""
    with (TEMPLATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            postgres.prepare(TEMPLATE, template_state())
        except EmbeddedServiceError:
            return  # the database's account cannot reach the checkout
        for cluster in TEMPLATE.glob("postgres-[0-9]*"):
            subprocess.run(["cp", "-a", cluster, directory], check=True)


def remove_left_behind() -> None:
    """Remove the directories of runs that were killed: nobody holds their lock any more."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), (directory / "lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--no-services`."""
    parser.addoption(
        "--no-services",
        action="store_true",
        help="start neither PostgreSQL nor Valkey: tests that need them are skipped",
    )


# Before pytest-django's hook of the same name, which loads the settings.
@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Choose the servers' addresses before anything reads them."""
    if CHOSEN not in os.environ:
        remove_left_behind()
    services = RunServices()
    early_config.stash[SERVICES] = services
    early_config.add_cleanup(services.stop)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark."""
    config.addinivalue_line("markers", "services: needs PostgreSQL and Valkey (set by itself)")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs the services, so that `-m "not services"` leaves the rest."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & NEEDS_SERVICES or item.get_closest_marker("django_db"):
            item.add_marker("services")
            if config.getoption("--no-services"):
                item.add_marker(pytest.mark.skip(reason="run with --no-services"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the servers if any of the chosen tests needs them."""
    if any(item.get_closest_marker("services") for item in session.items) and not (
        session.config.getoption("--no-services") or session.config.getoption("--collect-only")
    ):
        session.config.stash[SERVICES].start()


@pytest.fixture(scope="session")
def services(pytestconfig: pytest.Config) -> RunServices:
    """The run's PostgreSQL and Valkey: `.database_url` and `.redis_url`."""
    return pytestconfig.stash[SERVICES]


SERVICES = pytest.StashKey[RunServices]()
