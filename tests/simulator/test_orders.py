"""Orders script exact sequences; the truth, /info and the feed agree about them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import httpx
import pytest

from simulator import Simulator
from simulator.config import Limits
from simulator.orders import OrderError
from tests.simulator.feed_client import client, info, small

LONG, SHORT, MAKER = "0x" + "a1" * 20, "0x" + "b2" * 20, "0x" + "c3" * 20


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator(small(limits=Limits(weight_per_minute=10**6))) as running:
        yield running


def test_a_scripted_trade_is_one_block_between_the_named_parties(sim):
    with client(sim) as one:
        one.subscribe(type="trades", coin="BTC")
        block = sim.trade(LONG, "BTC", "-0.6", price="60000", counterparty=MAKER, parts=3)
        assert one.trades()[-1] == [
            {
                "coin": "BTC",
                "side": "A",
                "px": trade.px,
                "sz": trade.sz,
                "time": block.time_ms,
                "hash": trade.hash,
                "tid": trade.tid,
                "users": [MAKER, LONG],
            }
            for trade in block.trades
        ]
    assert len(block.trades) == 3
    assert sum(Decimal(trade.sz) for trade in block.trades) == Decimal("0.6")
    assert sim.truth(LONG).positions == {"BTC": Decimal("-0.6")}
    assert sim.truth(LONG).entry_prices == {"BTC": 60_000}
    assert sim.truth(MAKER).positions == {"BTC": Decimal("0.6")}


def test_a_flip_is_one_fill(sim):
    sim.trade(LONG, "ETH", "1", counterparty=MAKER)
    sim.trade(LONG, "ETH", "-3", counterparty=MAKER)
    newest = info(sim, "userFills", user=LONG)[0]
    assert newest["dir"] == "Long > Short"
    assert newest["startPosition"] == "1.0"
    assert sim.truth(LONG).positions == {"ETH": -2}
    state = info(sim, "clearinghouseState", user=LONG)
    assert [row["position"]["szi"] for row in state["assetPositions"]] == ["-2.0"]


def test_fills_by_time_are_oldest_first_and_chain(sim):
    for size in ("0.1", "0.2", "-0.5"):
        sim.trade(LONG, "BTC", size, counterparty=MAKER)
    rows = info(sim, "userFillsByTime", user=LONG, startTime=0)
    assert [row["startPosition"] for row in rows] == ["0.0", "0.1", "0.3"]
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    assert rows[::-1] == info(sim, "userFills", user=LONG)


def test_a_position_can_change_with_no_public_trade(sim):
    sim.trade(LONG, "BTC", "1", counterparty=MAKER)
    with client(sim) as one:
        one.subscribe(type="trades", coin="BTC")
        sim.move(LONG, "BTC", "-0.4")
        assert one.trades() == []
    assert sim.truth(LONG).positions == {"BTC": Decimal("0.6")}
    assert info(sim, "userFills", user=LONG)[0]["dir"] == "Auto-Deleveraging"
    held = [positions["BTC"] for positions in sim.all_positions().values() if "BTC" in positions]
    assert sum(held) == 0


def test_what_happens_after_a_state_was_told_has_a_later_time(sim):
    for _ in range(5):
        told = info(sim, "clearinghouseState", user=LONG)["time"]
        assert sim.trade(LONG, "BTC", "0.1").time_ms > told


def test_coins_are_listed_and_delisted_while_it_runs(sim):
    sim.list_coin("NEW", price="2.5", size_decimals=2)
    assert info(sim, "meta")["universe"][-1]["name"] == "NEW"
    sim.trade(LONG, "NEW", "10", counterparty=MAKER)
    sim.trade(SHORT, "NEW", "-3", counterparty=MAKER)
    sim.delist_coin("NEW")
    assert info(sim, "meta")["universe"][-1]["isDelisted"] is True
    assert sim.truth(LONG).positions == {}
    assert info(sim, "userFills", user=LONG)[0]["dir"] == "Settlement"
    with pytest.raises(OrderError, match="delisted"):
        sim.trade(LONG, "NEW", "1")
    sim.step(50)


def test_other_processes_order_and_ask_over_http(sim):
    def order(**fields):
        return httpx.post(f"{sim.api_url}/sim/order", json=fields)

    block = order(type="trade", user=LONG, coin="BTC", size="0.5", counterparty=MAKER).json()
    assert block["trades"][0]["users"] == [LONG, MAKER]
    order(type="deposit", user=LONG, amount="70000")
    truth = httpx.get(f"{sim.api_url}/sim/truth", params={"user": LONG}).json()
    assert truth["positions"] == {"BTC": "0.5"}
    assert truth["deposits"] == "70000"
    then = {"user": LONG, "at_ms": block["time_ms"] - 1}
    assert httpx.get(f"{sim.api_url}/sim/truth", params=then).json()["positions"] == {}
    assert httpx.get(f"{sim.api_url}/sim/truth").json()[LONG] == {"BTC": "0.5"}
    assert order(type="step", blocks=4).json() == {"blocks": 4}
    assert order(type="nonsense").status_code == 400
    assert order(type="trade", user="me", coin="BTC", size=1).status_code == 400
    assert order(type="trade", size=1).status_code == 400
    faults = httpx.post(f"{sim.api_url}/sim/faults", json={"rest_status": 502}).json()
    assert faults["rest_status"] == 502
    assert httpx.post(f"{sim.api_url}/info", json={"type": "meta"}).status_code == 502
    assert httpx.post(f"{sim.api_url}/sim/faults", json={"no": 1}).status_code == 400
    httpx.delete(f"{sim.api_url}/sim/faults")
    assert httpx.get(f"{sim.api_url}/sim/state").json()["mode"] == "live"
    assert httpx.post(f"{sim.api_url}/info", json={"type": "meta"}).status_code == 200
