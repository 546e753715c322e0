"""One start of everything: what is checked first, what runs in which order, and with what."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hlcopy import configuration
from hlcopy.embedded import data_directory, postgres, read_state, valkey
from hlcopy.embedded.state import (
    CHECKOUT,
    STATE_FILE,
    EmbeddedState,
    demo_directory,
    ensure_state,
    listening_failure,
    random_port,
)
from hlcopy.supervisor.children import MARK, end_all_with
from hlcopy.supervisor.program import Program, read_procfile
from hlcopy.supervisor.record import LOCK_FILE, boot_clock, dead_seconds, read_record
from hlcopy.supervisor.supervisor import Supervisor

# Few enough that everybody's base is known within half a minute; two thirds of the budget in the
# passes, so that healing is as prompt as it would be in earnest.
DEMO_TRADERS = 80
DEMO_SETTINGS = {
    "HYPERLIQUID_COINS": "all,xyz:*",
    "TRACKING_INTERVAL_SECONDS": "10",
    "TRACKING_BATCH_SIZE": "30",
    "TRACKING_WEIGHT_PER_PASS": "120",
    "LEADERBOARD_INTERVAL_SECONDS": "10",
}
# The exchange counts 60 s; the rest covers the last stamp's age and a worker that ended slowly.
NOTHING_SPENT_AFTER_SECONDS = 80


@dataclass(frozen=True, slots=True)
class Plan:
    """One start, decided: where the state lives and what every program is told."""

    directory: Path
    environment: Mapping[str, str]
    host: str
    port: int
    demo: bool
    replay: Path | None
    simulator_port: int
    services_only: bool

    @property
    def reachable_host(self) -> str:
        """The address at which this machine reaches the web server."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 (compared, not bound)

    @property
    def url(self) -> str:
        """Where the page is."""
        host = f"[{self.reachable_host}]" if ":" in self.reachable_host else self.reachable_host
        return f"http://{host}:{self.port}/"


def decide(
    environ: Mapping[str, str],
    *,
    demo: bool = False,
    replay: Path | None = None,
    port: int | None = None,
    services_only: bool = False,
) -> Plan:
    """Settle a start from the environment and the options; raises ConfigurationError."""
    environment = dict(environ)
    if port is not None:
        environment["PORT"] = str(port)
    directory = data_directory(environ)
    simulator_port = 0
    if demo:
        directory = demo_directory(directory)
        simulator_port = random_port()
        environment |= _demo_environment(environ, simulator_port)
        environment["HLCOPY_REPLAY"] = "" if replay is None else "1"
    settings = configuration.load(environment)
    programs = Path(sys.executable).parent
    environment |= {
        "HLCOPY_DATA": str(directory),
        "HOST": settings.host,
        "PORT": str(settings.port),
        "PATH": f"{programs}{os.pathsep}{environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
    }
    return Plan(
        directory=directory,
        environment=environment,
        host=settings.host,
        port=settings.port,
        demo=demo,
        replay=replay,
        simulator_port=simulator_port,
        services_only=services_only,
    )


def why_not_listen(plan: Plan) -> str:
    """Return why the web server could not listen where it is told to; empty where it could."""
    failure = listening_failure(plan.port, plan.host)
    if failure is None:
        return ""
    if failure.errno == errno.EADDRINUSE:
        return f"port {plan.port} of {plan.host} is in use; choose another with --port or PORT"
    return f"HOST, PORT: cannot listen on port {plan.port} of {plan.host}: {failure.strerror}"


def clear_the_way(plan: Plan) -> bool:
    """End what an earlier life left running; return whether nobody can have spent weight lately.

    Then the exchange's budget need not wait for a minute that it does not remember. That can be
    said only of a Valkey that ended with its supervisor. Call it before a supervisor writes its
    record.
    """
    last = read_record(plan.directory)
    is_new = read_state(plan.directory) is None
    ended = end_all_with(MARK, str(plan.directory))
    if plan.environment.get("REDIS_URL"):
        return False
    if plan.demo or is_new:
        return True
    if ended or last is None:
        return False
    return dead_seconds(last, time.time(), boot_clock()) > NOTHING_SPENT_AFTER_SECONDS


async def start(plan: Plan, supervisor: Supervisor, *, open_budget: bool) -> None:
    """Start the data services, bring database and assets up to date, start the Procfile.

    `open_budget` is what `clear_the_way` returned. Raises StartError where a service or the
    preparation fails.
    """
    say = supervisor.console.say
    services = _data_services(plan, say)
    if plan.demo:
        services.append(_simulator(plan))
    options = ["--wait"] * bool(services) + ["--open-budget"] * open_budget
    options += ["--anew"] * plan.demo
    await asyncio.gather(
        supervisor.start_needed(services),
        supervisor.run_once(_own_command(plan, "prepare", *options)),
    )
    if plan.services_only:
        say("the data services are up; nothing else is started")
        return
    procfile = (CHECKOUT / "Procfile").read_text()
    # One by one, the page first: side by side all of them would be slow to start.
    await supervisor.start(
        _with_readiness(plan, program)
        for program in read_procfile(procfile, plan.environment, str(CHECKOUT))
    )
    await supervisor.until_ready()
    say(f"hlcopy is at {plan.url} (ctrl-C or `make stop` ends it)")


def _demo_environment(environ: Mapping[str, str], simulator_port: int) -> dict[str, str]:
    """Return the settings of a demo: its own services, the simulated exchange, short intervals.

    DATABASE_URL and REDIS_URL are emptied rather than removed, else `.env` would bring them back.
    """
    return {
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "HLCOPY_DEMO": "1",
        "HYPERLIQUID_API_URL": f"http://127.0.0.1:{simulator_port}",
        "HYPERLIQUID_WS_URL": f"ws://127.0.0.1:{simulator_port}/ws",
        **{name: environ.get(name) or value for name, value in DEMO_SETTINGS.items()},
    }


def _data_services(plan: Plan, say: Callable[[str], None]) -> list[Program]:
    """Return the embedded services that this start needs, ready to run."""
    if plan.demo:
        _begin_anew(plan.directory)
    state: EmbeddedState = ensure_state(plan.directory)
    services = []
    if not plan.environment.get("DATABASE_URL"):
        if not any(plan.directory.glob("postgres-[0-9]*")):
            say(f"making a new database in {plan.directory}")
        services.append(postgres.prepare(plan.directory, state))
    if not plan.environment.get("REDIS_URL"):
        services.append(valkey.prepare(plan.directory, state))
    return services


def _begin_anew(directory: Path) -> None:
    """Empty a demo's directory: each simulated exchange is a new world with other positions.

    PostgreSQL's folder stays, for `prepare --anew` is quicker than initdb; but not another
    version's.
    """
    kept = {LOCK_FILE, STATE_FILE, "programs", postgres.cluster_of(directory).name}
    for path in directory.iterdir():
        if path.name in kept:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _simulator(plan: Plan) -> Program:
    """Return the bundled exchange of a demo."""
    arguments = ["--port", str(plan.simulator_port)]
    if plan.replay is None:
        arguments += ["--traders", str(DEMO_TRADERS)]
    else:
        arguments += ["--replay", str(plan.replay)]
    return Program(
        "simulator",
        (sys.executable, "-m", "simulator", *arguments),
        plan.environment,
        str(CHECKOUT),
        is_ready=partial(_answers, "127.0.0.1", plan.simulator_port),
    )


def _own_command(plan: Plan, name: str, *arguments: str) -> Program:
    """Return one of our management commands as a program."""
    command = (sys.executable, "manage.py", name, *arguments)
    return Program(name, command, plan.environment, str(CHECKOUT))


def _with_readiness(plan: Plan, program: Program) -> Program:
    """Return the program; the web server is ready when its port answers."""
    if program.name != "web":
        return program
    return Program(
        program.name,
        program.command,
        program.environment,
        program.working_directory,
        is_ready=partial(_answers, plan.reachable_host, plan.port),
    )


def _answers(host: str, port: int, _pid: int) -> bool:
    """Return whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=0.2).close()
    except OSError:
        return False
    return True
