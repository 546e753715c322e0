"""Alerts that only real processes can provoke: a disk that fills, a job that kills its workers.

A scheduler, workers and a web server of their own; what they say is read as an operator reads it:
at `/api/v1/stats` and in the logs.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from hlcopy.models import Alert, JobHealth, JobRun
from tests.hlcopy.scaled import deadly
from tests.hlcopy.test_periodic_processes import Fleet
from tests.web.server import WebServer, database_url, until
from web.alerts import LEAST_DISK_BYTES

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]
#: What is free on the small disk beyond the alert's bound, and what fills it.
TO_SPARE_BYTES, FILL_BYTES = 10_000_000, 20_000_000


class Installation(Fleet):
    """A scheduler, workers and a web server over the test's database, and what all of them said."""

    def __init__(self, folder: Path, redis_url: str, **environment: str) -> None:
        super().__init__(
            folder,
            {
                "DATABASE_URL": database_url(),
                "DJANGO_SETTINGS_MODULE": "tests.settings",
                "REDIS_URL": redis_url,
                **environment,
            },
        )
        self._web = WebServer(redis_url, **environment)
        self._log = (folder / "web.log").open("wb")
        self._web.log = self._log

    def begin(self) -> None:
        """Start the three."""
        for role in ("scheduler", "worker"):
            self.start(role)
        self._web.start(within_seconds=60)  # three processes start

    def stop(self) -> None:
        """End all, at once: how they end is shown elsewhere."""
        web = [self._web.process] if self._web.process else []
        for process in (*web, *(process for _, process in self.processes.values())):
            process.kill()
            process.wait()
        self._log.close()

    def alerts(self) -> dict[str, str]:
        """Return what `/api/v1/stats` tells: code -> detail."""
        status, content = self._web.get("/api/v1/stats")
        assert status == 200
        return {alert["code"]: alert["detail"] for alert in content["alerts"]}

    def logged(self, code: str) -> dict[str, int]:
        """Return how often the alert was said to have changed, by anybody."""
        states = ("raised", "cleared")
        return {state: self.said(f"alert={code} state={state}") for state in states}


@pytest.fixture
def install(tmp_path: Path, services) -> Iterator[Callable[..., Installation]]:
    """Start an installation; it ends with the test."""
    started = []

    def start(**environment: str) -> Installation:
        (logs := tmp_path / "logs").mkdir()
        started.append(Installation(logs, services.redis_url, **environment))
        started[0].begin()
        return started[0]

    yield start
    for installation in started:
        installation.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, with hardly more room than the alert asks for."""
    (folder := tmp_path / "disk").mkdir()
    if shutil.which("mount") is None:
        pytest.skip("no mount: a disk of its own cannot be filled here")
    size = f"size={LEAST_DISK_BYTES + TO_SPARE_BYTES}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder],
        check=False,
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"a disk of its own cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_disk_that_fills_and_is_cleared(install, small_disk):
    installation = install(HLCOPY_DATA=str(small_disk))
    changes = Alert.objects.filter(code="disk_low")
    until(JobRun.objects.filter(job="watch_numbers", state="done").exists, 60)
    assert "disk_low" not in installation.alerts()

    filling = small_disk / "filling"
    filling.write_bytes(bytes(FILL_BYTES))
    left = (LEAST_DISK_BYTES + TO_SPARE_BYTES - FILL_BYTES) // 10**6
    assert installation.alerts()["disk_low"] == f"{left} MB are left on the disk"
    until(changes.filter(cleared_at=None).exists, 60)
    more_than_once = JobRun.objects.filter(job="watch_numbers").latest("slot").slot + 1
    until(JobRun.objects.filter(slot=more_than_once, state="done").exists, 60)
    assert installation.logged("disk_low") == {"raised": 1, "cleared": 0}

    filling.unlink()
    assert "disk_low" not in installation.alerts()
    until(changes.exclude(cleared_at=None).exists, 60)
    assert installation.logged("disk_low") == {"raised": 1, "cleared": 1}
    assert changes.count() == 1


def test_a_job_that_kills_three_workers_and_is_released(install, tmp_path):
    name, poison = deadly.__name__, tmp_path / "poison"
    poison.touch()
    installation = install(DEADLY=str(poison))
    deaths = 0

    def quarantined() -> bool:
        nonlocal deaths
        deaths += installation.revive()
        return JobHealth.objects.filter(job=name).exclude(quarantined_at=None).exists()

    until(quarantined, 90)
    assert deaths == 3
    assert installation.alerts()["job_quarantined"] == f"{name}: its workers died 3 times in a row"
    changes = Alert.objects.filter(code="job_quarantined")
    until(changes.filter(cleared_at=None).exists, 60)
    assert installation.revive() == 0  # nobody runs it any more
    assert installation.logged("job_quarantined") == {"raised": 1, "cleared": 0}

    poison.unlink()
    operator = Client()
    operator.force_login(User.objects.create_superuser("operator", password=None))
    operator.post(
        reverse("admin:hlcopy_jobhealth_changelist"),
        {"action": "release", "_selected_action": [JobHealth.objects.get(job=name).pk]},
    )
    until(lambda: "job_quarantined" not in installation.alerts())
    until(JobRun.objects.filter(job=name, state="done").exists, 30)
    until(changes.exclude(cleared_at=None).exists, 60)
    assert installation.logged("job_quarantined") == {"raised": 1, "cleared": 1}
