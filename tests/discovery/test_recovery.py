"""The exchange was away: the coins are carried again by the first attempts, and it is not hammered.

How many seconds that takes is for `python -m bench recovery` to say; the pace of the attempts is
held to its laws in `tests/exchange/test_attempts.py`.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial

import pytest

from exchange.attempts import Pacing
from simulator import Simulator
from tests.discovery.live import Command, address, covering, known, market, until, users
from traders.coverage import covered_coins

PROCESSES, SOCKETS = 3, 6
PER_MINUTE = 30


def attempts(sim: Simulator) -> int:
    """Return how many have reached the exchange."""
    total: int = sim.connects()["ips"]["127.0.0.1"]["total"]
    return total


def have_come(sim: Simulator, made: int) -> bool:
    """Return whether so many have."""
    return attempts(sim) >= made


@pytest.fixture
def sim():
    """A market that stands still."""
    with Simulator(market()) as simulator:
        yield simulator


# The second lasts so long that who kept no pace would be caught.
@pytest.mark.parametrize(
    ("fault", "lasts"),
    [
        ({"refuse_connections": True}, 2),
        ({"connect_status": 502}, SOCKETS + 3),
        ({"close_connections": True}, 2),
    ],
    ids=["refused", "502", "closed at once"],
)
def test_three_processes_carry_the_coins_again_soon_after_an_outage(
    transactional_db, sim, tmp_path, fault, lasts
):
    with ExitStack() as stack:
        for number in range(PROCESSES):
            stack.enter_context(Command(tmp_path / str(number), sim.ws_url))
        until(lambda: covering("BTC", "ETH", sockets=SOCKETS), "all six sockets")
        with sim.fault(**fault):
            before, begun = attempts(sim), time.monotonic()
            sim.drop(1006)
            meanwhile = sim.trade(address(1), "BTC", "1")
            until(lambda: not covered_coins(), "the gap")
            for made in range(before + 1, before + lasts + 1):
                until(partial(have_come, sim, made), "an attempt")
            paces = (time.monotonic() - begun) * 1000 / Pacing().every_ms
        back = attempts(sim)
        until(lambda: covered_coins().keys() == {"BTC", "ETH"}, "the coins")
        until(lambda: known(users(meanwhile)), "who traded meanwhile")
        until(lambda: covering("BTC", "ETH", sockets=SOCKETS), "all six sockets again")

    # All may have followed the last that worked, before anybody knew of the outage.
    assert back - before <= SOCKETS + 1 + paces
    # One may have been refused at the last moment, or be on its way.
    assert attempts(sim) <= back + SOCKETS + 1
    assert sim.connects()["ips"]["127.0.0.1"]["over_limit"] == 0
    assert sim.max_connects_in_any_60s() <= PER_MINUTE == Pacing().limit


def test_one_process_comes_back_after_an_exchange_that_was_gone(transactional_db, sim, tmp_path):
    with Command(tmp_path / "log", sim.ws_url):
        until(lambda: covering("BTC", "ETH"))
        sim.stop()
        until(lambda: not covered_coins(), "the gap")
        sim.start()
        until(lambda: covered_coins().keys() == {"BTC", "ETH"}, "the coins")
