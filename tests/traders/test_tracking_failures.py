"""Whose fault a failure is: a trader's own makes it back off, the exchange's ends the pass."""

from __future__ import annotations

import pytest
from django.db.models.functions import Now

from simulator import Simulator, SimulatorConfig
from simulator.config import Limits
from tests.traders.passes import (
    OpenBudget,
    Together,
    assert_book_is_true,
    make_due,
    meet,
    run,
)
from traders.fetching import REQUESTS_IN_FLIGHT
from traders.models import Trader

pytestmark = pytest.mark.django_db(transaction=True)

# Of batches of 5 traders with a weight of 10, while 1000 are given out in so many seconds.
NEXT_BATCH_SECONDS = 20
SPREAD_SECONDS = NEXT_BATCH_SECONDS * 1000 / 10


@pytest.fixture(scope="module")
def sim():
    # One exchange for all tests: its own weight limit would make them depend on one another.
    unlimited = Limits(weight_per_minute=1_000_000)
    config = SimulatorConfig(seed=5, traders=100, warmup_trades=1200, limits=unlimited)
    with Simulator(config) as simulator:
        yield simulator


def untouched():
    """Return how many traders are as if the pass had never been."""
    return Trader.objects.filter(
        last_tracked_at=None, lease_token=None, failures=0, retry_at=None, unfinished_claims=0
    ).count()


def test_a_round_of_healing_asks_for_nothing_while_nobody_waits_for_it(sim, caplog):
    traders = sim.traders()
    meet(traders)
    with sim.fault(rest_status=500):
        summary = run(sim, rotates=False)
    assert (summary.stopped_because, summary.weight_used) == ("nobody waits", 0)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]

    Trader.objects.filter(address=traders[0]).update(retry_at=Now())
    assert run(sim, rotates=False).traders_ok == 1


@pytest.mark.parametrize("fault", [{"rest_status": 500}, {"rest_truncated": True}])
def test_a_trader_whose_account_cannot_be_had_backs_off_alone(sim, fault):
    failing, *others = sim.traders()
    meet([failing, *others])
    with sim.fault(rest_users=(failing,), **fault):
        summary = run(sim)

    assert (summary.traders_ok, summary.traders_failed, summary.traders_released) == (99, 1, 0)
    row = Trader.objects.get(address=failing)
    assert (row.failures, row.last_tracked_at, row.lease_token) == (1, None, None)
    assert row.retry_at is not None
    assert row.last_error

    make_due()
    run(sim)

    row = Trader.objects.get(address=failing)
    assert (row.failures, row.retry_at, row.last_error) == (0, None, "")
    assert_book_is_true(sim)


def test_a_request_that_is_refused_is_the_traders_failure(sim):
    meet(sim.traders()[:5])
    with sim.fault(rest_status=422, rest_users=(sim.traders()[0],)):
        summary = run(sim)

    assert (summary.traders_ok, summary.traders_failed) == (4, 1)
    assert "422" in Trader.objects.get(failures=1).last_error


@pytest.mark.parametrize("fault", [{"rest_status": 502}, {"rest_refuse": True}])
def test_an_unreachable_exchange_is_nobodys_fault(sim, fault):
    meet(sim.traders())
    run(sim, weight=20, batch_size=1)  # the list of coins alone
    with sim.fault(**fault):
        summary = run(sim)

    assert summary.stopped_because.startswith("unreachable")
    assert (summary.traders_ok, summary.traders_failed) == (0, 0)
    assert summary.weight_used < 100
    assert untouched() == 100


def test_a_few_traders_and_an_unreachable_exchange_are_told_from_failing_traders(sim):
    meet(sim.traders()[:3])
    with sim.fault(rest_status=500):
        summary = run(sim)

    assert summary.stopped_because.startswith("unreachable")
    assert (summary.batches_failed, summary.traders_released) == (1, 3)
    assert untouched() == 3


def test_a_429_ends_the_pass_and_gives_the_rest_back(sim):
    meet(sim.traders())
    budget = OpenBudget()
    with sim.fault(rest_status=429, rest_every=15):
        summary = run(sim, budget=budget)

    assert summary.stopped_because.startswith("RateLimited")
    assert budget.pauses >= 1
    assert summary.traders_failed == 0
    assert summary.traders_ok + untouched() == 100

    run(sim)

    assert untouched() == 0
    assert_book_is_true(sim)


def test_now_and_then_a_500_costs_one_trader_its_turn(sim):
    meet(sim.traders())
    with sim.fault(rest_status=500, rest_every=8):
        summary = run(sim)

    assert summary.traders_ok >= 80
    assert summary.traders_ok + summary.traders_failed + summary.traders_released == 100
    make_due()
    run(sim)
    assert_book_is_true(sim)


def test_slow_replies_do_not_hold_up_one_another(sim):
    meet(sim.traders())
    # No account is told of before all are asked for, over all batches.
    summary = run(sim, batch_size=5, transport=Together(100))

    assert summary.traders_ok == 100


def test_at_its_deadline_the_pass_gives_back_what_it_has_not_fetched(sim):
    meet(sim.traders())
    run(sim, weight=20, batch_size=1)
    with sim.fault(rest_slow_seconds=5):
        summary = run(sim, seconds=0.4)

    assert summary.stopped_because == "deadline"
    assert (summary.batches_ok, summary.batches_failed, summary.weight_used) == (0, 0, 0)
    assert (summary.traders_ok, summary.traders_failed) == (0, 0)
    assert untouched() == 100


def test_the_weight_of_a_pass_is_spent_while_traders_wait(sim):
    meet(sim.traders())
    spent = sim.weight()["ips"].get("127.0.0.1", {"total": 0})["total"]
    for _ in range(2):
        summary = run(sim, weight=94, batch_size=20)
        now_spent = sim.weight()["ips"]["127.0.0.1"]["total"]

        assert summary.stopped_because == "weight spent"
        assert 0.95 * 94 <= summary.weight_used == now_spent - spent <= 94
        spent = now_spent

    # The list of coins and 37 new ones; then 47, of whom a quarter of each batch was met before.
    assert Trader.objects.filter(last_tracked_at__isnull=False).count() == 37 + 47 - (5 + 5 + 2)


def test_a_pass_gives_its_weight_out_evenly(sim):
    meet(sim.traders())
    run(sim, weight=20, batch_size=1)
    summary = run(sim, weight=100, batch_size=5, spread_seconds=0.5)

    accounts = [
        arrival.at
        for arrival in sim.weight()["ips"]["127.0.0.1"]["arrivals"]
        if arrival.request_type == "clearinghouseState"
    ][-50:]
    assert summary.weight_used == 100
    # The tenth batch is claimed after nine tenths of the time.
    assert accounts[-1] - accounts[0] > 0.4


def test_a_pass_that_waits_for_its_next_batch_ends_at_its_deadline(sim):
    meet(sim.traders())
    summary = run(sim, batch_size=5, seconds=0.5, spread_seconds=SPREAD_SECONDS)

    assert summary.stopped_because == "deadline"
    assert summary.traders_ok <= 5
    assert summary.traders_ok + untouched() == 100
    assert summary.seconds < NEXT_BATCH_SECONDS


def test_a_pass_that_waits_for_its_next_batch_ends_with_a_429(sim):
    meet(sim.traders())
    # The requests of the first batch are sent while the pass waits for the second.
    with sim.fault(rest_status=429, rest_users=sim.traders()):
        summary = run(sim, batch_size=5, spread_seconds=SPREAD_SECONDS)

    assert summary.stopped_because.startswith("RateLimited")
    assert untouched() == 100
    assert summary.seconds < NEXT_BATCH_SECONDS


@pytest.mark.timeout(30)
def test_a_pass_ends_though_all_that_it_may_ask_at_once_is_given_up_at_once(sim):
    run(sim, weight=20, batch_size=1)
    meet([f"0x{number:040x}" for number in range(1, 301)])
    with sim.fault(rest_slow_seconds=5):
        summary = run(sim, batch_size=REQUESTS_IN_FLIGHT, seconds=1)

    assert summary.stopped_because == "deadline"
    assert summary.traders_released == REQUESTS_IN_FLIGHT
