"""Tracking while the exchange misbehaves: nothing invented, nothing lost."""

from __future__ import annotations

from decimal import Decimal

import pytest

from simulator import Simulator, SimulatorConfig
from tests.traders.passes import assert_book_is_true, assert_log_is_whole, make_due, meet, run
from traders.models import AccountSnapshot, Coin, Position, PositionEvent, Trader

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sim():
    with Simulator(SimulatorConfig(seed=5, traders=40, warmup_trades=1200)) as simulator:
        yield simulator


@pytest.fixture
def quiet():
    """An exchange on which nobody trades unless a test says so."""
    config = SimulatorConfig(
        seed=5, traders=40, warmup_trades=1200, trades_per_second=0.0001, volatility=0.01
    )
    with Simulator(config) as simulator:
        yield simulator


def holder(sim, coins=1):
    """Return an ordinary trader who holds at least so many coins, and what it holds."""
    held = sim.all_positions()
    return next((a, held[a]) for a in sim.traders() if len(held.get(a, {})) >= coins)


def test_replies_of_an_older_state_are_kept_and_not_applied(sim):
    meet(sim.traders())
    run(sim)
    for _ in range(4):
        sim.step(blocks=60)
        with sim.fault(rest_delay_seconds=(0.0, 30.0, 3.0, 0.0, 90.0)):
            run(sim)

    assert AccountSnapshot.objects.filter(applied=False).exists()
    assert PositionEvent.objects.exists()
    assert_book_is_true(sim)


def test_a_state_older_than_it_claims_is_made_good_by_the_next_one(sim):
    meet(sim.traders())
    run(sim)
    for skew in (5.0, 0.0, 2.0, 0.0):
        sim.step(blocks=60)
        with sim.fault(rest_skew_seconds=skew):
            run(sim)
        assert_log_is_whole()

    held = {address: coins for address, coins in sim.all_positions().items() if coins}
    for trader in Trader.objects.filter(retry_at=None):
        ours = dict(trader.positions.values_list("coin", "size"))
        assert ours == held.get(trader.address, {})


def test_empty_replies_close_nothing(sim):
    meet(sim.traders())
    run(sim)
    before = set(Position.objects.values_list("trader_id", "coin", "size"))
    holders = set(Position.objects.values_list("trader_id", flat=True))
    with sim.fault(empty_accounts=True):
        sim.step(seconds=1)
        run(sim)
    second_looks = Trader.objects.filter(retry_at__isnull=False)
    assert set(second_looks.values_list("pk", flat=True)) == holders

    make_due()
    run(sim)

    assert {(trader, coin) for trader, coin, _ in before} >= set(
        PositionEvent.objects.filter(kind="CLOSE").values_list("trader_id", "coin")
    )
    assert not second_looks.exists()
    assert_book_is_true(sim)


def test_an_account_that_is_really_emptied_is_closed_by_the_second_look(quiet):
    address, held = holder(quiet, coins=2)
    meet([address])
    run(quiet)
    for coin, size in held.items():
        quiet.move(address, coin, -size)
    run(quiet)
    assert not PositionEvent.objects.exists()

    quiet.step(seconds=6)
    make_due()
    run(quiet)

    closed = PositionEvent.objects.values_list("kind", "coin", "size_before", "size_after")
    assert set(closed) == {("CLOSE", coin, size, Decimal(0)) for coin, size in held.items()}
    assert not Position.objects.exists()
    assert_book_is_true(quiet)


def test_a_position_that_changes_without_a_public_trade_is_an_event(quiet):
    address, held = holder(quiet)
    coin, size = next(iter(held.items()))
    meet([address])
    run(quiet)

    quiet.move(address, coin, -3 * size)
    run(quiet)

    assert list(PositionEvent.objects.order_by("id").values_list("kind", "size_after")) == [
        ("CLOSE", Decimal(0)),
        ("OPEN", -2 * size),
    ]
    assert_book_is_true(quiet)


def test_a_delisted_coin_is_settled_and_keeps_its_row(quiet):
    address, held = holder(quiet, coins=2)
    coin = next(iter(held))
    meet([address])
    run(quiet)

    quiet.step(seconds=1)
    quiet.delist_coin(coin)
    quiet.step(seconds=1)
    Coin.objects.update(updated_at="2026-01-01T00:00:00Z")
    run(quiet)

    assert Coin.objects.get(name=coin).is_delisted
    assert PositionEvent.objects.get().kind == "CLOSE"
    assert_book_is_true(quiet)


def test_a_coin_that_is_listed_between_two_lists_is_looked_up(quiet):
    address, _ = holder(quiet)
    meet([address])
    run(quiet)

    quiet.list_coin("BRANDNEW", price=7, size_decimals=2)
    quiet.trade(address, "BRANDNEW", "12.34")
    summary = run(quiet)

    assert summary.weight_used == 2 + 20
    assert Coin.objects.get(name="BRANDNEW").size_decimals == 2
    assert PositionEvent.objects.filter(coin="BRANDNEW", kind="OPEN").exists()
    assert_book_is_true(quiet)


def test_each_dex_of_a_trader_costs_two_more_and_speaks_for_itself(quiet):
    address, _ = holder(quiet)
    meet([address], dexes=("", "xyz"))
    run(quiet, dexes=("", "xyz"))
    coin = Coin.objects.filter(dex="xyz", is_delisted=False)[0].name

    quiet.trade(address, coin, "1")
    summary = run(quiet, dexes=("", "xyz"))

    assert summary.weight_used == 4
    assert Position.objects.filter(dex="xyz", coin=coin).exists()
    assert_book_is_true(quiet, dexes=("", "xyz"))
