"""The doctor: what it sees of a healthy exchange, and of one that is not there."""

from __future__ import annotations

import asyncio
import socket

import pytest
from django.conf import settings
from django.core.management import call_command

from exchange.shared_budget import SharedBudget
from hlcopy import doctor
from hlcopy.configuration import load
from simulator import Simulator, SimulatorConfig


@pytest.fixture
def budget_open(services):
    """Let requests be sent at once: nothing was spent by this run's own Redis."""

    async def open_() -> None:
        async with SharedBudget(settings.REDIS_URL) as budget:
            await budget.open()

    asyncio.run(open_())


def configured(monkeypatch, api_url, ws_url, **more):
    environ = {"HYPERLIQUID_API_URL": api_url, "HYPERLIQUID_WS_URL": ws_url, **more}
    monkeypatch.setattr(settings, "CONFIGURATION", load(environ))


@pytest.mark.django_db
def test_a_healthy_machine_and_exchange_have_nothing_that_fails(budget_open, monkeypatch, capsys):
    with Simulator(SimulatorConfig(traders=50, coins=("BTC", "ETH"))) as sim:
        sim.run()
        configured(monkeypatch, sim.api_url, sim.ws_url, HYPERLIQUID_COINS="BTC,MATIC")

        call_command("doctor", "--seconds", "2")

    printed = capsys.readouterr().out
    assert "FAIL" not in printed
    assert "30 trades, oldest first" in printed
    assert "names unknown ones: MATIC" in printed
    assert "Invalid subscription" in printed
    assert "8. What shape has allPerpMetas?" in printed


@pytest.mark.django_db
def test_an_exchange_that_is_not_there_fails_with_the_reason(budget_open, monkeypatch, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        port = taken.getsockname()[1]
        configured(monkeypatch, f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}/ws")

        with pytest.raises(SystemExit) as exited:
            call_command("doctor", "--seconds", "0.5")

    printed = capsys.readouterr().out
    assert exited.value.code == 1
    assert "FAIL  Exchange, /info" in printed
    assert "FAIL  Exchange, feed" in printed


def test_a_redis_that_does_not_answer_fails(services, monkeypatch):
    assert doctor._redis().state == "ok"

    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    assert doctor._redis().state == "fail"
