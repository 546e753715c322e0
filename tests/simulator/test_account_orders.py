"""What is ordered of accounts shows in their states: money, ruin, dexes, history."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import httpx
import pytest

from simulator import Simulator
from simulator.behaviour import LIQUIDATOR
from simulator.config import Limits
from tests.simulator.feed_client import info, small

LONG, SHORT, MAKER = "0x" + "a1" * 20, "0x" + "b2" * 20, "0x" + "c3" * 20


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(small(limits=Limits(weight_per_minute=10**6))) as running:
        yield running


def test_deposits_and_withdrawals_show_in_the_account_value(sim):
    sim.deposit(LONG, "1000.50")
    truth = sim.deposit(LONG, "-200.25")
    assert (truth.deposits, truth.withdrawals) == (Decimal("1000.50"), Decimal("200.25"))
    summary = info(sim, "clearinghouseState", user=LONG)["marginSummary"]
    assert summary["accountValue"] == "800.25"


def test_a_ruined_account_is_taken_over_by_the_liquidator(sim):
    sim.deposit(LONG, 1000)
    for coin, size in (("BTC", "0.1"), ("ETH", "-1")):
        sim.trade(LONG, coin, size, counterparty=MAKER)
    before = sim.truth(LIQUIDATOR).positions
    blocks = sim.liquidate(LONG, method="backstop")
    assert [block.coin for block in blocks] == ["BTC", "ETH"]
    assert blocks[0].trades[0].users == (LIQUIDATOR, LONG)
    assert sim.truth(LONG).positions == {}
    assert sim.truth(LONG).value == 0
    after = sim.truth(LIQUIDATOR).positions
    assert after.get("BTC", 0) - before.get("BTC", 0) == Decimal("0.1")
    fill = info(sim, "userFills", user=LONG)[0]
    assert fill["dir"] == "Liquidated Cross Short"
    assert fill["liquidation"]["method"] == "backstop"
    assert fill["liquidation"]["liquidatedUser"] == LONG


def test_winners_are_deleveraged_one_to_one_in_public(sim):
    sim.deposit(LONG, 10_000)
    sim.trade(LONG, "BTC", "0.5", price="20000", counterparty=MAKER)
    sim.trade(SHORT, "BTC", "-0.4", price="99000", counterparty=MAKER)
    (block,) = sim.liquidate(LONG, method="adl")
    assert sum(Decimal(trade.sz) for trade in block.trades) == Decimal("0.5")
    assert block.trades[0].users == (SHORT, LONG)
    assert sim.truth(LONG).positions == sim.truth(SHORT).positions == {}
    fill = info(sim, "userFills", user=SHORT)[0]
    assert (fill["dir"], fill["fee"], "liquidation" in fill) == ("Auto-Deleveraging", "0.0", False)
    held = [positions.get("BTC", 0) for positions in sim.all_positions().values()]
    assert sum(held) == 0


def test_a_crash_liquidates_traders_in_the_market(sim):
    total = sum(sim.state()["liquidations"].values())
    for coin in ("BTC", "ETH", "ARB"):
        sim.set_price(coin, sim.world.venue.book(coin).mark * 2)
    sim.step(200)
    assert sum(sim.state()["liquidations"].values()) > total


def test_a_builders_dex_has_a_state_of_its_own(sim):
    sim.trade(LONG, "xyz:TSLA", "2", counterparty=MAKER)
    assert info(sim, "clearinghouseState", user=LONG)["assetPositions"] == []
    (row,) = info(sim, "clearinghouseState", user=LONG, dex="xyz")["assetPositions"]
    assert row["position"]["coin"] == "xyz:TSLA"
    assert row["position"]["leverage"]["type"] == "isolated"
    assert sim.truth(LONG, "xyz").positions == {"xyz:TSLA": 2}


def test_a_unified_account_shows_no_perp_value_but_its_money_in_spot():
    coins = ("BTC", "ETH")
    with Simulator(small(unified_share=1.0, coins=coins)) as sim:
        user = sim.traders()[0]
        state = info(sim, "clearinghouseState", user=user)
        assert state["marginSummary"]["accountValue"] == "0.0"
        assert info(sim, "userAbstraction", user=user) == "unifiedAccount"
        (usdc,) = info(sim, "spotClearinghouseState", user=user)["balances"]
        assert abs(Decimal(usdc["total"]) - sim.truth(user).value) < Decimal("0.01")


def test_some_sizes_come_back_with_float_noise(sim):
    for size, shown in (("1064075.6", "1064075.6000000001"), ("-1161681.9", "-1161681.8999999999")):
        user = f"0x{int(Decimal(size) * 10) % 2**160:040x}"
        sim.trade(user, "ARB", size, counterparty=MAKER)
        (row,) = info(sim, "clearinghouseState", user=user)["assetPositions"]
        assert row["position"]["szi"] == shown


def test_what_is_too_long_ago_is_refused_instead_of_invented():
    with Simulator(small(history_per_account=3)) as sim:
        times = [sim.trade(LONG, "BTC", "0.1", counterparty=MAKER).time_ms for _ in range(5)]
        assert sim.truth(LONG, at_ms=times[3]).positions == {"BTC": Decimal("0.4")}
        with pytest.raises(LookupError, match="does not reach back"):
            sim.truth(LONG, at_ms=times[1])
        query = {"user": LONG, "at_ms": str(times[1])}
        assert httpx.get(f"{sim.api_url}/sim/truth", params=query).status_code == 400


def test_a_stranger_whose_position_is_moved_is_left_alone(sim):
    sim.move(LONG, "BTC", "5")
    sim.set_price("BTC", 30_000)
    sim.step(300)
    assert sim.truth(LONG).positions == {"BTC": 5}
