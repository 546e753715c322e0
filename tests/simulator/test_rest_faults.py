"""Faults of /info on order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from simulator import Simulator
from simulator.config import Limits
from tests.simulator.feed_client import info, post, small

USER = "0x" + "12" * 20
OTHER = "0x" + "34" * 20


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    boundless = Limits(new_connections_per_minute=1000, connections=50, weight_per_minute=10**6)
    with Simulator(small(limits=boundless)) as running:
        yield running


def sizes(state: dict[str, Any]) -> dict[str, str]:
    return {row["position"]["coin"]: row["position"]["szi"] for row in state["assetPositions"]}


@pytest.mark.parametrize(
    ("status", "body"), [(429, "null"), (500, "null"), (502, "502 Bad Gateway")]
)
def test_info_answers_with_errors(sim, status, body):
    with sim.fault(rest_status=status):
        response = post(sim, {"type": "meta"})
    assert response.status_code == status
    assert body in response.text
    assert post(sim, {"type": "meta"}).status_code == 200


def test_info_is_slow_truncated_or_refused(sim):
    with sim.fault(rest_slow_seconds=5.0), pytest.raises(httpx.ReadTimeout):
        post(sim, {"type": "meta"}, timeout=0.05)
    with sim.fault(rest_truncated=True), pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        post(sim, {"type": "meta"}).json()
    with sim.fault(rest_refuse=True), pytest.raises(httpx.TransportError):
        post(sim, {"type": "meta"})


def test_faults_strike_every_nth_request_or_one_user(sim):
    with sim.fault(rest_status=500, rest_every=2):
        codes = [post(sim, {"type": "allMids"}).status_code for _ in range(4)]
    assert sorted(codes) == [200, 200, 500, 500]
    with sim.fault(rest_status=500, rest_users=(USER,)):
        assert info(sim, "clearinghouseState", user=OTHER)
        assert post(sim, {"type": "clearinghouseState", "user": USER}).status_code == 500


def test_a_lagging_state_is_old_and_says_so(sim):
    user = "0x" + "56" * 20
    sim.trade(user, "BTC", "0.3")
    sim.step(seconds=10)
    sim.trade(user, "BTC", "0.2")
    sim.step(seconds=1)
    assert sizes(info(sim, "clearinghouseState", user=user)) == {"BTC": "0.5"}
    with sim.fault(rest_delay_seconds=8):
        state = info(sim, "clearinghouseState", user=user)
        assert sizes(state) == {"BTC": "0.3"}
        assert state["time"] == sim.now_ms - 8000
    with sim.fault(rest_skew_seconds=8):
        state = info(sim, "clearinghouseState", user=user)
        assert sizes(state) == {"BTC": "0.3"}
        assert state["time"] == sim.now_ms
    with sim.fault(rest_delay_seconds=(0, 8)):
        states = [info(sim, "clearinghouseState", user=user) for _ in range(2)]
    assert {state["time"] for state in states} == {sim.now_ms, sim.now_ms - 8000}


def test_an_account_can_look_empty(sim):
    sim.trade(USER, "BTC", "0.3")
    with sim.fault(empty_accounts=True, rest_users=(USER,)):
        assert sizes(info(sim, "clearinghouseState", user=USER)) == {}
    assert "BTC" in sizes(info(sim, "clearinghouseState", user=USER))


def test_a_stopped_exchange_comes_back_on_its_port():
    sim = Simulator(small()).start()
    url = sim.api_url
    sim.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/sim/state")
    with sim:
        assert sim.api_url == url
        assert info(sim, "meta")
