"""Limits per IP: weight, connections, subscriptions, users, silence."""

from __future__ import annotations

from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidStatus,
)

from simulator import Simulator
from simulator.config import Limits
from simulator.weights import WeightLog, base_weight, row_weight
from tests.simulator.feed_client import client, info, post, small

USER = "0x" + "ab" * 20


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_weights_are_the_published_ones():
    assert base_weight("clearinghouseState") == base_weight("allMids") == 2
    assert base_weight("userRole") == 60
    assert base_weight("portfolio") == base_weight("meta") == base_weight("userFills") == 20
    assert row_weight("userFills", 2000) == 100
    assert row_weight("userFills", 19) == 0
    assert row_weight("meta", 2000) == 0


@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.sampled_from(["meta", "allMids", "userRole"])), max_size=120
    )
)
def test_no_60_seconds_are_charged_more_than_the_limit(arrivals):
    clock = Clock()
    log = WeightLog(300, clock)
    charged: list[tuple[float, int]] = []
    asked: list[tuple[float, int]] = []
    for pause, kind in arrivals:
        clock.now += pause
        arrival = log.arrive(kind)
        asked.append((clock.now, arrival.weight))
        if not arrival.refused:
            charged.append((clock.now, arrival.weight))

    def most(entries: list[tuple[float, int]]) -> int:
        sums = [sum(w for at, w in entries if end - 60 < at <= end) for end, _ in entries]
        return max(sums, default=0)

    assert log.max_used == most(charged) <= 300
    assert log.max_asked == most(asked)


def test_weight_above_1200_is_answered_429_null_until_the_window_has_passed():
    clock = Clock()
    with Simulator(small(), now=clock) as sim:
        for _ in range(20):
            info(sim, "userRole", user=USER)
        refused = post(sim, {"type": "clearinghouseState", "user": USER})
        assert refused.status_code == 429
        assert refused.text == "null"
        assert "retry-after" not in refused.headers
        assert sim.weight()["ips"]["127.0.0.1"]["used_last_60s"] == 1200
        assert sim.max_weight_in_any_60s() == 1202
        clock.now += 60.1
        info(sim, "clearinghouseState", user=USER)
        assert sim.weight()["ips"]["127.0.0.1"]["used_last_60s"] == 2
        assert sim.weight()["ips"]["127.0.0.1"]["refused"] == 1


def test_rows_of_a_reply_are_charged():
    with Simulator(small()) as sim:
        maker = sim.makers()[0]
        sim.step(200)
        rows = info(sim, "userFills", user=maker)
        assert len(rows) >= 40
        assert sim.max_weight_in_any_60s() == 20 + len(rows) // 20
        arrivals = httpx.get(f"{sim.api_url}/sim/weight").json()["ips"]["127.0.0.1"]["arrivals"]
        assert [a["weight"] for a in arrivals] == [20 + len(rows) // 20]


def test_each_ip_has_a_budget_of_its_own():
    with Simulator(small()) as sim:
        for address in ("127.0.0.1", "127.0.0.2"):
            transport = httpx.HTTPTransport(local_address=address)
            with httpx.Client(transport=transport, trust_env=False) as http:
                http.post(f"{sim.api_url}/info", json={"type": "allMids"})
        spent = {ip: log["total"] for ip, log in sim.weight()["ips"].items()}
        assert spent == {"127.0.0.1": 2, "127.0.0.2": 2}


def test_the_eleventh_connection_is_refused():
    with Simulator(small(limits=Limits(connections=2))) as sim:
        with client(sim), client(sim), pytest.raises(InvalidStatus) as refusal, client(sim):
            pass
        assert refusal.value.response.status_code == 429


def test_the_thirty_first_new_connection_of_a_minute_is_refused():
    clock = Clock()
    with Simulator(small(limits=Limits(new_connections_per_minute=3)), now=clock) as sim:
        for _ in range(3):
            with client(sim):
                pass
        with pytest.raises(InvalidStatus), client(sim):
            pass
        clock.now += 61
        with client(sim) as one:
            one.subscribe(type="allMids")


@pytest.mark.parametrize(
    "fault",
    [{"refuse_connections": True}, {"connect_status": 503}, {"close_connections": True}],
    ids=["reset", "503", "closed"],
)
def test_an_attempt_that_a_fault_ends_counts_as_well(fault):
    clock = Clock()
    with Simulator(small(limits=Limits(new_connections_per_minute=3)), now=clock) as sim:
        with sim.fault(**fault):
            for _ in range(3):
                with suppress(InvalidHandshake, ConnectionClosed, OSError, EOFError), client(sim):
                    pass
        with pytest.raises(InvalidStatus) as refusal, client(sim):
            pass
        assert refusal.value.response.status_code == 429
        [log] = sim.connects()["ips"].values()
        assert (log["in_last_60s"], log["total"], log["over_limit"]) == (4, 4, 1)
        clock.now += 61
        with client(sim) as one:
            one.subscribe(type="allMids")
        assert httpx.get(f"{sim.api_url}/sim/connects").json()["max_in_any_60s"] == 4
        assert sim.connects()["ips"]["127.0.0.1"]["in_last_60s"] == 1
        assert sim.max_connects_in_any_60s() == 4


def test_subscriptions_and_users_are_limited():
    with Simulator(small(limits=Limits(subscriptions=3, users=1))) as sim, client(sim) as one:
        one.subscribe(type="userFills", user=USER)
        one.send("subscribe", type="userFills", user="0x" + "cd" * 20)
        assert one.frame()["data"] == "Cannot track more than 1 total users."
        one.subscribe(type="trades", coin="BTC")
        one.subscribe(type="trades", coin="ETH")
        one.send("subscribe", type="trades", coin="ARB")
        assert one.frame()["channel"] == "error"
        one.send("unsubscribe", type="trades", coin="ETH")
        assert one.frame()["data"]["method"] == "unsubscribe"
        one.subscribe(type="trades", coin="ARB")


def test_a_connection_that_nothing_was_sent_to_is_closed():
    with Simulator(small(limits=Limits(idle_seconds=0.05))) as sim, client(sim) as one:
        with pytest.raises(ConnectionClosedOK):
            one.text()
        assert one.socket.close_code == 1000


def test_too_many_messages_are_answered_with_an_error():
    with Simulator(small(limits=Limits(messages_per_minute=2))) as sim, client(sim) as one:
        one.subscribe(type="trades", coin="BTC")
        one.send("ping")
        assert one.frame() == {"channel": "pong"}
        one.send("ping")
        assert one.frame() == {"channel": "error", "data": "Too many messages"}
