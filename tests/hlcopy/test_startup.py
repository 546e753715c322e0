"""What a start decides before anything runs."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec import structs

from hlcopy import startup
from hlcopy.configuration import ConfigurationError
from hlcopy.embedded.state import ensure_state
from hlcopy.supervisor.record import boot_clock, write_record
from tests.hlcopy.test_supervisor_parts import RECORD


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment with a data directory of its own."""
    return {"HLCOPY_DATA": str(tmp_path / "state"), "PATH": "/usr/bin"}


def test_a_demo_never_touches_ones_own_servers(environ: dict[str, str]) -> None:
    environ |= {"DATABASE_URL": "postgres://mine/real", "REDIS_URL": "redis://mine"}
    plan = startup.decide(environ, demo=True)
    assert plan.environment["DATABASE_URL"] == plan.environment["REDIS_URL"] == ""
    assert plan.directory.name == "state-demo"
    assert plan.environment["HLCOPY_DATA"] == str(plan.directory)


def test_a_demo_speaks_to_the_simulator_in_short_intervals(environ: dict[str, str]) -> None:
    plan = startup.decide(environ | {"HYPERLIQUID_API_URL": "https://real"}, demo=True)
    assert plan.environment["HYPERLIQUID_API_URL"] == f"http://127.0.0.1:{plan.simulator_port}"
    assert plan.environment["HYPERLIQUID_WS_URL"] == f"ws://127.0.0.1:{plan.simulator_port}/ws"
    assert plan.environment["TRACKING_INTERVAL_SECONDS"] == "10"
    assert plan.environment["HLCOPY_REPLAY"] == ""
    recorded = startup.decide(environ, demo=True, replay=Path("frames.jsonl"))
    assert recorded.environment["HLCOPY_REPLAY"] == "1"
    slow = startup.decide(environ | {"TRACKING_INTERVAL_SECONDS": "60"}, demo=True)
    assert slow.environment["TRACKING_INTERVAL_SECONDS"] == "60"


def test_a_run_keeps_what_was_set(environ: dict[str, str]) -> None:
    plan = startup.decide(environ | {"DATABASE_URL": "postgres://mine/real"})
    assert plan.environment["DATABASE_URL"] == "postgres://mine/real"
    assert "HLCOPY_DEMO" not in plan.environment


def test_the_option_wins_over_the_setting(environ: dict[str, str]) -> None:
    assert startup.decide(environ | {"PORT": "8001"}, port=8002).environment["PORT"] == "8002"
    with pytest.raises(ConfigurationError, match="PORT"):
        startup.decide(environ, port=70_000)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000/"),
        ("0.0.0.0", "http://127.0.0.1:8000/"),
        ("::1", "http://[::1]:8000/"),
    ],
)
def test_the_address_is_one_that_this_machine_reaches(
    environ: dict[str, str], host: str, url: str
) -> None:
    assert startup.decide(environ | {"HOST": host, "ALLOWED_HOSTS": "x"}).url == url


def test_the_budget_waits_unless_nobody_can_have_spent(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, (boot, seconds) = time.time(), boot_clock()
    monkeypatch.setattr(startup, "time", SimpleNamespace(time=lambda: now))
    monkeypatch.setattr(startup, "boot_clock", lambda: (boot, seconds))
    plan = startup.decide(environ)
    plan.directory.mkdir()
    assert startup.clear_the_way(plan)  # a new installation
    ensure_state(plan.directory)
    assert not startup.clear_the_way(plan)  # a life of which nothing is known
    for age, is_open in ((79.9, False), (80.1, True)):
        last = structs.replace(RECORD, alive=now - age, alive_boot=(boot, seconds - age))
        write_record(plan.directory, last)
        assert startup.clear_the_way(plan) is is_open
    elsewhere = replace(plan, environment={**plan.environment, "REDIS_URL": "redis://mine"})
    assert not startup.clear_the_way(elsewhere)
