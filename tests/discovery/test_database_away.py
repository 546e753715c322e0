"""What is received while PostgreSQL is away is committed when it is back."""

from __future__ import annotations

import pytest
from django.db import connection

from simulator import Simulator
from tests.discovery.forwarder import Forwarder
from tests.discovery.live import (
    Command,
    address,
    burst,
    covering,
    discovering,
    known,
    market,
    until,
    users,
)
from traders.models import FeedSocket


@pytest.fixture
def sim():
    """A market that stands still."""
    with Simulator(market()) as simulator:
        yield simulator


@pytest.fixture
def way(transactional_db):
    """A way to PostgreSQL that can be cut."""
    with Forwarder(int(connection.settings_dict["PORT"])) as forwarder:
        yield forwarder


def test_a_restart_of_postgresql_in_the_middle_loses_nothing(sim, way, tmp_path):
    with Command(tmp_path / "log", sim.ws_url, database_port=way.port) as command:
        until(lambda: covering("BTC", "ETH"))
        traded = burst(sim, 0, 50)
        way.cut()
        traded |= burst(sim, 100, 200)
        until(lambda: "database=away" in command.output, "the trouble in the log")
        assert command.process.poll() is None
        way.open()
        until(lambda: known(traded), "those who traded meanwhile")
        until(lambda: "database=back" in command.output)
        until(lambda: FeedSocket.objects.filter(connected=True, trades__gte=500).count() == 2)
        command.end()

    assert command.process.returncode == 0, command.output
    assert "unsaved=0" in command.output


def test_it_starts_while_postgresql_is_away_and_keeps_what_it_receives(sim, way, tmp_path):
    way.cut()
    with Command(tmp_path / "log", sim.ws_url, database_port=way.port) as command:
        until(lambda: command.output.count("connected=1") == 2, "both sockets")
        until(lambda: "database=away" in command.output)
        way.open()
        until(lambda: covering("BTC", "ETH"))
        traded = burst(sim, 0, 50)
        until(lambda: known(traded))


def test_a_signal_ends_it_in_time_although_postgresql_is_away(sim, way, tmp_path):
    with Command(tmp_path / "log", sim.ws_url, database_port=way.port) as command:
        until(lambda: covering("BTC", "ETH"))
        way.cut()
        burst(sim, 0, 10)
        until(lambda: "database=away" in command.output)
        seconds = command.end()

    assert seconds < 5
    assert command.process.returncode == 1
    assert "received trades could not be saved" in command.output


def test_terminated_connections_lose_nothing(sim, transactional_db):
    with discovering(sim) as discovery:
        until(lambda: covering("BTC", "ETH"))
        traded: set[str] = set()
        for attempt in range(5):
            traded |= burst(sim, 100 * attempt, 20)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        until(lambda: known(traded))
        last = users(sim.trade(address(999), "ETH", "1"))
        until(lambda: known(last))
        assert discovery.writer.trouble == ""
