"""The exchange was away: the coins are carried again within 5 s, and it is not hammered."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from exchange.attempts import Pacing
from simulator import Simulator
from tests.discovery.live import Command, address, covering, known, market, until, users
from traders.coverage import covered_coins

#: Section 11: reconnect within 5 s after the exchange is back.
BACK_WITHIN_SECONDS = 5
PER_MINUTE = 30


@pytest.fixture
def sim():
    """A market that stands still."""
    with Simulator(market()) as simulator:
        yield simulator


@pytest.mark.parametrize(
    "fault",
    [{"refuse_connections": True}, {"connect_status": 502}, {"close_connections": True}],
    ids=["refused", "502", "closed at once"],
)
def test_three_processes_carry_the_coins_again_soon_after_an_outage(
    transactional_db, sim, tmp_path, fault
):
    with ExitStack() as stack:
        for number in range(3):
            stack.enter_context(Command(tmp_path / str(number), sim.ws_url))
        until(lambda: covering("BTC", "ETH", sockets=6), "all six sockets")
        with sim.fault(**fault):
            sim.drop(1006)
            meanwhile = sim.trade(address(1), "BTC", "1")
            before = sim.connects()["ips"]["127.0.0.1"]["total"]
            until(lambda: not covered_coins(), "the gap")
            until(lambda: sim.connects()["ips"]["127.0.0.1"]["total"] >= before + 2, "attempts")
        back = time.monotonic()
        until(lambda: covered_coins().keys() == {"BTC", "ETH"}, "the coins")
        seconds = time.monotonic() - back
        until(lambda: known(users(meanwhile)), "who traded meanwhile")
        until(lambda: covering("BTC", "ETH", sockets=6), "all six sockets again")

    assert seconds <= BACK_WITHIN_SECONDS
    assert sim.connects()["ips"]["127.0.0.1"]["over_limit"] == 0
    assert sim.max_connects_in_any_60s() <= PER_MINUTE == Pacing().limit


def test_one_process_comes_back_as_soon(transactional_db, sim, tmp_path):
    with Command(tmp_path / "log", sim.ws_url):
        until(lambda: covering("BTC", "ETH"))
        sim.stop()
        until(lambda: not covered_coins(), "the gap")
        sim.start()
        back = time.monotonic()
        until(lambda: covered_coins().keys() == {"BTC", "ETH"}, "the coins")

        assert time.monotonic() - back <= BACK_WITHIN_SECONDS
