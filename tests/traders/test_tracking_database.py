"""Tracking while PostgreSQL drops its connections or somebody holds a trader's ledger."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from simulator import Simulator, SimulatorConfig
from tests.traders.passes import assert_book_is_true, meet, run
from traders.models import Ledger, Trader

pytestmark = pytest.mark.django_db(transaction=True)
DROP_ALL = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@pytest.fixture
def sim():
    with Simulator(SimulatorConfig(seed=4, traders=40, warmup_trades=600)) as simulator:
        yield simulator


@contextmanager
def elsewhere(function):
    """Run a function in a thread with a connection of its own, until the end of the block."""

    def work():
        function()
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


def test_a_database_that_drops_every_connection_ends_the_pass_and_loses_nothing(sim):
    meet(sim.traders())
    run(sim)
    sim.step(blocks=200)
    Trader.objects.update(last_tracked_at=None)
    dropping = threading.Event()

    def drop_connections():
        while not Trader.objects.filter(last_tracked_at__isnull=False).exists():
            dropping.wait(0.005)
        with connection.cursor() as cursor:
            cursor.execute(DROP_ALL)

    with elsewhere(drop_connections), sim.fault(rest_slow_seconds=0.2, rest_every=2):
        summary = run(sim)

    assert summary.stopped_because.startswith("database")
    assert summary.traders_failed == 0
    Trader.objects.update(lease_until=None)
    sim.step(blocks=50)
    run(sim)
    assert not Trader.objects.filter(last_tracked_at=None).exists()
    assert_book_is_true(sim)


def test_a_ledger_that_somebody_holds_costs_its_trader_the_turn_and_no_failure(sim):
    meet(sim.traders())
    run(sim)
    sim.step(blocks=50)
    held = Trader.objects.get(address=sim.traders()[3])
    locked, done = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic():
            Ledger.objects.select_for_update().get(trader=held)
            locked.set()
            done.wait(30)

    with elsewhere(hold):
        locked.wait(10)
        summary = run(sim)
        done.set()

    assert (summary.traders_ok, summary.traders_failed) == (39, 0)
    assert summary.stopped_because == "nobody waits"
    held.refresh_from_db()
    assert (held.failures, held.lease_token, held.unfinished_claims) == (0, None, 0)
    run(sim)
    assert_book_is_true(sim)
