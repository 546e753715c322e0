"""The protocol of `/ws` and `/info`, as reference pages describe it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulator import Simulator
from tests.simulator.feed_client import client, info, post, small


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(small()) as running:
        yield running


def test_the_first_frame_after_subscribing_is_an_unflagged_replay_of_30_trades(sim):
    with client(sim) as one:
        ack, replay = one.subscribe(type="trades", coin="BTC")
        assert ack == {
            "channel": "subscriptionResponse",
            "data": {"method": "subscribe", "subscription": {"type": "trades", "coin": "BTC"}},
        }
        assert set(replay) == {"channel", "data"}
        times = [trade["time"] for trade in replay["data"]]
        assert len(times) == 30
        assert times == sorted(times)


def test_a_live_frame_holds_one_coin_and_one_time(sim):
    with client(sim) as one:
        one.subscribe(type="trades", coin="BTC")
        one.subscribe(type="trades", coin="ETH")
        sim.step(40)
        frames = [frame for frame in one.trades() if frame]
        assert frames
        for frame in frames:
            assert len({(trade["coin"], trade["time"]) for trade in frame}) == 1


def test_it_answers_the_exchanges_own_error_texts(sim):
    with client(sim) as one:
        one.subscribe(type="trades", coin="BTC")
        one.send("subscribe", type="trades", coin="BTC")
        assert one.frame() == {
            "channel": "error",
            "data": 'Already subscribed: {"type":"trades","coin":"BTC"}',
        }
        one.send("unsubscribe", type="trades", coin="ETH")
        assert one.frame()["data"] == 'Already unsubscribed: {"type":"trades","coin":"ETH"}'
        one.send("subscribe", type="trades", coin="NOPE")
        assert one.frame()["data"] == 'Invalid subscription {"type":"trades","coin":"NOPE"}'
        one.socket.send("{nonsense")
        assert one.frame()["data"].startswith("Error parsing JSON into valid websocket request: {n")
        one.send("ping")
        assert one.frame() == {"channel": "pong"}


def test_all_mids_is_acknowledged_with_an_added_null_and_carries_spot(sim):
    with client(sim) as one:
        ack, mids = one.subscribe(type="allMids")
        assert ack["data"]["subscription"] == {"type": "allMids", "dex": None}
        assert {"BTC", "PURR/USDC"} <= set(mids["data"]["mids"])
        assert "xyz:TSLA" not in mids["data"]["mids"]


def test_meta_keeps_delisted_coins_in_their_place(sim):
    universe = info(sim, "meta")["universe"]
    assert [row["name"] for row in universe] == ["BTC", "ETH", "MATIC", "ARB"]
    assert universe[2]["isDelisted"] is True
    assert [row["name"] for row in info(sim, "meta", dex="xyz")["universe"]] == ["xyz:TSLA"]
    assert info(sim, "perpDexs")[0] is None
    assert info(sim, "perpDexs")[1]["name"] == "xyz"


@pytest.mark.parametrize(
    "body",
    [{"type": "noSuchThing"}, {"type": "clearinghouseState"}, {"type": "userFills", "user": "0x1"}],
)
def test_nonsense_is_answered_422_in_plain_text(sim, body):
    response = post(sim, body)
    assert response.status_code == 422
    assert response.text == "Failed to deserialize the JSON body into the target type"


def test_an_unknown_address_is_an_empty_account(sim):
    state = info(sim, "clearinghouseState", user="0x" + "ab" * 20)
    assert state["assetPositions"] == []
    assert state["marginSummary"]["accountValue"] == "0.0"
    assert state["time"] == sim.now_ms
