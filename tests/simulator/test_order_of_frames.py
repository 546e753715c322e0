"""What a slow connection brings, it brings in order; and what the soak asks of the market."""

from __future__ import annotations

from decimal import Decimal

import httpx

from simulator import Simulator
from tests.simulator.feed_client import Client, client, small, until

USER = "0x" + "12" * 20


def next_tids(one: Client, count: int) -> list[int]:
    frames = (one.frame() for _ in range(count))
    return [frame["data"][0]["tid"] for frame in frames]


def tid(sim: Simulator) -> int:
    return sim.trade(USER, "BTC", "0.01").trades[0].tid


def test_frames_that_are_on_their_way_are_not_overtaken_when_the_delay_ends():
    with Simulator(small()) as sim, client(sim) as one:
        one.subscribe(type="trades", coin="BTC")
        with sim.fault(frames_delay_seconds=0.05):
            slow = tid(sim)
        quick = tid(sim)
        assert next_tids(one, 2) == [slow, quick]


def test_a_replay_is_as_late_as_the_frames_before_it():
    with Simulator(small()) as sim, client(sim) as one:
        one.subscribe(type="trades", coin="BTC")
        with sim.fault(frames_delay_seconds=0.05):
            slow = tid(sim)
            acknowledged, first = one.subscribe(type="trades", coin="ETH")
            second = one.frame()
    assert acknowledged["channel"] == "subscriptionResponse"
    assert [frame["data"][0]["coin"] for frame in (first, second)] == ["BTC", "ETH"]
    assert first["data"][0]["tid"] == slow


def test_late_blocks_come_when_the_fault_ends():
    with Simulator(small()) as sim, client(sim) as one:
        one.subscribe(type="trades", coin="BTC")
        with sim.fault(late_blocks_every=1, late_blocks_by=100):
            late = tid(sim)
        assert next_tids(one, 1) == [late]


def test_everybodys_sizes_of_a_time_are_those_of_each_account_then():
    with Simulator(small(history_per_account=40)) as sim:
        before_ms = sim.now_ms
        sim.trade(USER, "BTC", "0.5")
        sim.step(seconds=120)

        asked: dict[str, str | int] = {"dex": "", "at_ms": before_ms}
        told = httpx.get(f"{sim.api_url}/sim/truth", params=asked, trust_env=False).json()

        assert {who for who, held in told.items() if held is None}
        known = [who for who, held in told.items() if held is not None]
        assert known
        for who in known:
            sizes = {coin: Decimal(size) for coin, size in told[who].items()}
            assert sizes == sim.truth(who, at_ms=before_ms).positions


def test_a_market_that_rests_goes_on_telling_the_time():
    with Simulator(small()) as sim, client(sim) as one:
        sim.run(trades_per_second=200)
        order = {"type": "pace", "trades_per_second": 0}
        httpx.post(f"{sim.api_url}/sim/order", json=order, trust_env=False).raise_for_status()
        played = sim.state()["trades_total"]
        one.subscribe(type="bbo", coin="BTC")
        first, second = one.frame()["data"]["time"], one.frame()["data"]["time"]
        assert second > first
        assert sim.state()["trades_total"] == played
        assert sum(sim.state()["trades_by_coin"].values()) == played
        httpx.post(
            f"{sim.api_url}/sim/order", json={**order, "trades_per_second": 500}, trust_env=False
        ).raise_for_status()
        until(lambda: sim.state()["trades_total"] > played)
