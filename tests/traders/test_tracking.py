"""Tracking alone, without the feed: every difference is an event, and none is invented."""

from __future__ import annotations

import pytest

from simulator import Simulator, SimulatorConfig
from tests.traders.passes import assert_book_is_true, meet, run
from traders.models import AccountSnapshot, Coin, Position, PositionEvent, Trader

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sim():
    with Simulator(SimulatorConfig(seed=3, traders=60, warmup_trades=1500)) as simulator:
        yield simulator


def test_the_first_pass_is_the_baseline(sim):
    meet(sim.traders())

    summary = run(sim)

    assert (summary.traders_ok, summary.traders_failed) == (60, 0)
    assert (summary.batches_ok, summary.stopped_because) == (2, "nobody waits")
    assert Position.objects.exists()
    assert not PositionEvent.objects.exists()
    assert AccountSnapshot.objects.filter(applied=True).count() == 60
    assert not Trader.objects.filter(last_tracked_at__isnull=True).exists()
    assert_book_is_true(sim)


def test_every_difference_between_two_snapshots_is_an_event(sim):
    meet(sim.traders())
    for _ in range(5):
        run(sim)
        sim.step(blocks=150)
    run(sim)

    kinds = set(PositionEvent.objects.values_list("kind", flat=True))
    assert kinds == {"OPEN", "INCREASE", "DECREASE", "CLOSE"}
    assert_book_is_true(sim)


def test_a_second_pass_over_unchanged_accounts_gives_no_event():
    # Nobody trades, time goes on: the exchange's floats are written anew in every reply.
    quiet = SimulatorConfig(
        seed=3, traders=60, warmup_trades=1500, trades_per_second=0.0001, volatility=0.01
    )
    with Simulator(quiet) as sim:
        meet(sim.traders())
        run(sim)
        sim.step(seconds=60)

        run(sim)

    assert AccountSnapshot.objects.filter(applied=True).count() == 120
    assert not PositionEvent.objects.exists()
    assert Coin.objects.filter(is_delisted=False).count() > 50
