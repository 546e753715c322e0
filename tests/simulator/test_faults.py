"""Faults on order: what goes wrong with the real exchange, and ends when told to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

import pytest
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    InvalidHandshake,
    InvalidStatus,
)
from websockets.sync.client import ClientConnection, connect

from simulator import Simulator
from simulator.config import Limits
from tests.simulator.feed_client import WAIT_SECONDS, Client, client, small, until

USER = "0x" + "12" * 20
OTHER = "0x" + "34" * 20


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    boundless = Limits(new_connections_per_minute=1000, connections=50, weight_per_minute=10**6)
    with Simulator(small(limits=boundless)) as running:
        yield running


def watch(one: Client, *coins: str) -> None:
    for coin in coins:
        one.subscribe(type="trades", coin=coin)


def live_tids(one: Client) -> list[int]:
    return [trade["tid"] for frame in one.trades() for trade in frame]


@pytest.mark.parametrize("code", [1000, 1006, 1011])
def test_connections_are_dropped(sim, code):
    with client(sim) as one:
        watch(one, "BTC")
        assert sim.drop(code) == 1
        with pytest.raises(ConnectionClosed):
            one.text()
        assert one.socket.close_code == code


def test_only_the_named_connections_are_dropped(sim):
    with client(sim) as one, client(sim) as two:
        numbers = [row["connection"] for row in sim.state()["connections"]]
        assert sim.drop(1000, connections=(numbers[0],)) == 1
        with pytest.raises(ConnectionClosed):
            one.text()
        assert two.drain() == []


def test_random_closes_come_unannounced(sim):
    with sim.fault(drop_every_seconds=0.02), client(sim) as one, pytest.raises(ConnectionClosed):
        one.text()
    with client(sim) as one:
        watch(one, "BTC")


def test_a_silent_connection_sends_nothing_until_the_fault_ends(sim):
    with client(sim) as one:
        watch(one, "BTC")
        with sim.fault(silence=True):
            sim.trade(USER, "BTC", "0.5")
            one.send("ping")
            with pytest.raises(TimeoutError):
                one.text(timeout=0.1)
        assert sim.trade(USER, "BTC", "0.25").trades[0].tid in live_tids(one)


def test_a_half_open_connection_neither_reads_nor_sends_nor_closes(sim):
    with client(sim) as one:
        watch(one, "BTC")
        with sim.fault(half_open=True):
            sim.trade(USER, "BTC", "0.5")
            one.send("subscribe", type="trades", coin="ETH")
            with pytest.raises(TimeoutError):
                one.text(timeout=0.1)
            assert sim.state()["connections"][0]["subscriptions"] == 1
        until(lambda: sim.state()["connections"][0]["subscriptions"] == 2)


def test_a_half_open_server_accepts_and_says_nothing(sim):
    with sim.fault(half_open=True), pytest.raises(TimeoutError), client(sim, wait_seconds=0.1):
        pass


def test_new_connections_are_refused(sim):
    with (
        sim.fault(refuse_connections=True),
        pytest.raises((InvalidHandshake, OSError, EOFError)),
        client(sim),
    ):
        pass
    with client(sim) as one:
        watch(one, "BTC")


@pytest.mark.parametrize("status", [502, 503])
def test_new_connections_are_answered_with_a_status(sim, status):
    with (
        sim.fault(connect_status=status),
        pytest.raises(InvalidStatus) as refusal,
        client(sim),
    ):
        pass
    assert refusal.value.response.status_code == status
    with client(sim) as one:
        watch(one, "BTC")


def test_new_connections_are_accepted_and_closed_at_once(sim):
    with (
        sim.fault(close_connections=True, drop_code=1011),
        pytest.raises(ConnectionClosed) as loss,
        client(sim),
    ):
        pass
    assert loss.value.rcvd is not None
    assert loss.value.rcvd.code == 1011
    with client(sim) as one:
        watch(one, "BTC")


def test_garbage_goes_between_the_frames(sim):
    with client(sim) as one:
        watch(one, "BTC")
        with sim.fault(garbage_every=1):
            blocks = [sim.trade(USER, "BTC", "0.01") for _ in range(3)]
            texts = [one.text() for _ in range(6)]
    frames = {block.frame.decode() for block in blocks}
    assert set(texts[1::2]) == frames
    assert texts[0] == "{not json"
    assert not frames & set(texts[::2])


def test_frames_are_duplicated_lost_and_late(sim):
    with client(sim) as one:
        watch(one, "BTC", "ETH")
        with sim.fault(duplicate_every=1, coins=("BTC",)):
            doubled = sim.trade(USER, "BTC", "0.01").trades[0].tid
            single = sim.trade(USER, "ETH", "0.01").trades[0].tid
            assert live_tids(one) == [doubled, doubled, single]
        with sim.fault(lose_blocks_every=1):
            sim.trade(USER, "BTC", "0.01")
            assert live_tids(one) == []
        with sim.fault(frames_delay_seconds=0.05):
            late = sim.trade(USER, "BTC", "0.01").trades[0].tid
            assert live_tids(one) == []
            assert one.frame()["data"][0]["tid"] == late
    with client(sim) as one:
        watch(one, "BTC")
        with sim.fault(late_blocks_every=3, late_blocks_by=2):
            tids = [sim.trade(USER, "BTC", "0.01").trades[0].tid for _ in range(5)]
        assert live_tids(one) == [tids[0], tids[1], tids[3], tids[4], tids[2]]


def test_faults_end_with_their_block_even_nested(sim):
    with sim.fault(rest_status=500):
        with sim.fault(silence=True):
            assert sim.hub.faults.rest_status == 500
        assert not sim.hub.faults.silence
    assert sim.hub.faults.rest_status == 0


def read_to_the_end(connection: ClientConnection) -> None:
    while True:
        connection.recv(timeout=WAIT_SECONDS)


def test_when_it_stops_it_leaves_no_client_that_does_not_read():
    with Simulator(small()) as sim:
        small_window = socket.socket()
        small_window.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small_window.connect(("127.0.0.1", int(sim.ws_url.rpartition(":")[2].removesuffix("/ws"))))
        with connect(
            sim.ws_url, sock=small_window, proxy=None, max_queue=1, close_timeout=0.1
        ) as unread:
            [connection] = sim.hub.connections.values()
            for _ in range(1000):
                sim.call(partial(connection.say, "x" * 10_000))
            sim.stop()

            with pytest.raises(ConnectionClosedError):
                read_to_the_end(unread)
