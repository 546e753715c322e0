"""Ten minutes, fifteen times faster: real schedulers and workers, killed; Redis wiped."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from exchange.shared_budget import SharedBudget
from hlcopy.management.commands.runscheduler import LOOK_EVERY_SECONDS
from hlcopy.models import JobHealth, JobRun
from hlcopy.supervisor.children import popen_options
from simulator import Simulator, SimulatorConfig
from simulator.config import Limits
from tests.hlcopy.scaled import INTERVAL_SECONDS, LEASE_SECONDS, SCALE
from tests.traders.passes import meet
from tests.web.server import CHECKOUT, database_url, free_port, until
from tests.web.test_hub_losses import valkey
from traders.models import AccountSnapshot, Trader

JOB = "track_traders"
SIMULATED_SECONDS = 600
TRADERS = 72
# An account costs 2: a rotation takes three passes, and a fourth where 20 list the coins.
ENVIRONMENT = {"TRACKING_WEIGHT_PER_PASS": "48", "TRACKING_BATCH_SIZE": "10"}
DUE_SECONDS = 3 * INTERVAL_SECONDS
# Until what a killed worker held is taken again: its leases, and the scheduler's look.
DEATH_SECONDS = LEASE_SECONDS + LOOK_EVERY_SECONDS


class Fleet:
    """Schedulers and workers; whoever is killed is started again, as the supervisor does."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = os.environ | environment
        self.processes: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}
        self._started = 0

    def start(self, role: str) -> None:
        """Start one more."""
        self._started += 1
        with (self._folder / f"{role}-{self._started}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.hlcopy.scaled", role],
                cwd=CHECKOUT,
                env=self._environment,
                stdout=log,
                stderr=log,
                **popen_options(death_signal=signal.SIGKILL),
            )
        self.processes[process.pid] = role, process

    def kill(self, pid: int) -> None:
        """Kill one, and start another in its place."""
        role, process = self.processes.pop(pid)
        process.kill()
        process.wait()
        self.start(role)

    def revive(self) -> int:
        """Start another in the place of each that was killed; return how many that were."""
        dead = [
            pid for pid, (_, process) in self.processes.items() if process.poll() == -signal.SIGKILL
        ]
        for pid in dead:
            self.kill(pid)
        return len(dead)

    def a(self, wanted: str) -> int:
        """Return the oldest process of a role."""
        return next(pid for pid, (role, _) in self.processes.items() if role == wanted)

    def stop(self) -> None:
        """End all."""
        for _, process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for _, process in self.processes.values():
            process.wait(15)

    def said(self, words: str) -> int:
        """Count the lines with these words, those of the dead included."""
        logs = self._folder.glob("*.log")
        return sum(words in line for log in logs for line in log.read_text().splitlines())


async def open_budget(url: str) -> None:
    """Say that nothing was spent: closed, the budget would cost a real minute."""
    async with SharedBudget(url, per_minute=1100 * SCALE) as budget:
        await budget.open()


def kill_a_pass(fleet: Fleet, *, and_a_scheduler: bool) -> float:
    """Kill the worker of a pass that has just begun, and let its slot and the next be done.

    Returns when that was, in seconds since 1970.
    """
    passes = JobRun.objects.filter(job=JOB)
    newest = passes.latest("slot").slot
    until(passes.filter(slot__gt=newest, state="running").exists)
    run = passes.latest("slot")
    died_at = time.time()
    fleet.kill(int(run.worker.split(":")[1]))
    if and_a_scheduler:
        fleet.kill(fleet.a("scheduler"))
    until(passes.filter(slot=run.slot, state="done").exists)
    until(passes.filter(slot=run.slot + 1, state="done").exists)
    return died_at


@pytest.mark.processes
@pytest.mark.django_db(transaction=True)
def test_every_slot_runs_once_and_nobody_starves(tmp_path, services):
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    unlimited = Limits(weight_per_minute=10**6)
    config = SimulatorConfig(seed=3, traders=TRADERS, warmup_trades=300, limits=unlimited)
    with ExitStack() as stack:
        redis = stack.enter_context(valkey(port))
        sim = stack.enter_context(Simulator(config))
        meet(sim.traders())
        asyncio.run(open_budget(url))
        fleet = Fleet(
            tmp_path,
            {
                **ENVIRONMENT,
                "DATABASE_URL": database_url(),
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "HYPERLIQUID_API_URL": sim.api_url,
                "REDIS_URL": url,
                "TRACKING_INTERVAL_SECONDS": str(INTERVAL_SECONDS),
            },
        )
        stack.callback(fleet.stop)
        for role in ("scheduler", "scheduler", "worker", "worker", "worker"):
            fleet.start(role)
        until(JobRun.objects.filter(job=JOB, state="done").exists, 60)  # five processes start
        end = time.monotonic() + SIMULATED_SECONDS / SCALE
        deaths: list[float] = []
        while time.monotonic() < end - 2 * INTERVAL_SECONDS:
            deaths.append(kill_a_pass(fleet, and_a_scheduler=len(deaths) % 2 == 0))
            if len(deaths) == 2:
                redis.flushall()
                asyncio.run(open_budget(url))
        until(lambda: time.monotonic() > end)
        until(lambda: not JobRun.objects.filter(job=JOB, state="running").exists())

    runs = list(JobRun.objects.filter(job=JOB).order_by("slot"))
    if runs[-1].state == "sent":  # the next slot began while all ended
        runs.pop()
    slots = [run.slot for run in runs]
    assert slots == list(range(slots[0], slots[0] + len(slots)))
    assert len(slots) >= SIMULATED_SECONDS // 75
    assert len(deaths) >= 3
    assert {run.state for run in runs} == {"done"}
    assert sum(run.attempts > 1 for run in runs) >= len(deaths)
    assert fleet.said("tracking batches_ok=") == len(runs)
    assert fleet.said("ended after its lease") == 0
    assert JobHealth.objects.get(job=JOB).deaths == 0

    assert not Trader.objects.filter(last_tracked_at=None).exists()
    visits: dict[int, list[float]] = {}
    for trader, at in AccountSnapshot.objects.order_by("fetched_at").values_list(
        "trader_id", "fetched_at"
    ):
        visits.setdefault(trader, []).append(at.timestamp())
    assert len(visits) == TRADERS
    waits = sorted(
        (later - at, sum(at < death < later for death in deaths))
        for times in visits.values()
        for at, later in pairwise(times)
    )
    assert waits[int(0.95 * len(waits))][0] <= 1.2 * DUE_SECONDS
    # As docs/operations.md says: a death fits into the spare fifth (one here, where a lease is a
    # larger part of a rotation); each further one in the same wait adds its own time.
    for seconds, died in waits:
        assert seconds <= 1.2 * DUE_SECONDS + max(0, died - 1) * DEATH_SECONDS
