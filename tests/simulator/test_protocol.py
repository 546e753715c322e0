"""The protocol of `/ws` and `/info`, as reference pages describe it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from simulator import Simulator
from simulator.config import Limits
from tests.simulator.feed_client import client, info, post, small


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    limits = Limits(weight_per_minute=10**6, new_connections_per_minute=1000)
    with Simulator(small(limits=limits)) as running:
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


def test_positions_follow_from_the_signed_trades_of_the_feed():
    with Simulator(small(seed=6, volatility=5.0, speed=500.0)) as one_sim, client(one_sim) as one:
        coins = [row["name"] for row in info(one_sim, "meta")["universe"]]
        for coin in coins:
            one.subscribe(type="trades", coin=coin)
        book = one_sim.all_positions()
        one_sim.step(600)
        for frame in one.trades():
            for trade in frame:
                for user, sign in zip(trade["users"], (1, -1), strict=True):
                    held = book.setdefault(user, {})
                    size = held.get(trade["coin"], Decimal(0)) + sign * Decimal(trade["sz"])
                    held[trade["coin"]] = size
        flat = {user: {c: s for c, s in held.items() if s} for user, held in book.items()}
        assert {user: held for user, held in flat.items() if held} == one_sim.all_positions()


def test_every_state_agrees_with_the_truth(sim):
    checked = 0
    for user, held in sim.all_positions().items():
        state = info(sim, "clearinghouseState", user=user)
        lots = {"BTC": 5, "ETH": 4, "ARB": 1}
        shown = {
            row["position"]["coin"]: round(Decimal(row["position"]["szi"]), lots[coin])
            for row in state["assetPositions"]
            if (coin := row["position"]["coin"])
        }
        assert shown == held
        checked += 1
    assert checked > 10


def test_empty_arrays_of_trades_come_now_and_then(sim):
    with client(sim) as one:
        for coin in ("BTC", "ETH", "ARB"):
            one.subscribe(type="trades", coin=coin)
        sim.step(900)
        frames = one.trades()
        assert 1 <= sum(not frame for frame in frames) < len(frames) / 50


def test_marks_come_whole_first_and_then_the_changed_ones(sim):
    with client(sim) as one:
        _, first = one.subscribe(type="fastAssetCtxs")
        assert set(first["data"]) >= {"BTC", "MATIC", "xyz:TSLA"}
        sim.step(20)
        (changed,) = one.drain()
        assert changed["channel"] == "fastAssetCtxs"
        assert 0 < len(changed["data"]) < len(first["data"])


def test_quotes_follow_the_blocks(sim):
    with client(sim) as one:
        _, first = one.subscribe(type="bbo", coin="BTC")
        block = sim.trade("0x" + "ef" * 20, "BTC", "0.1")
        (quote,) = one.drain()
        assert quote["data"]["time"] == block.time_ms >= first["data"]["time"]
        bid, ask = (Decimal(level["px"]) for level in quote["data"]["bbo"])
        assert bid < ask


def test_user_fills_start_with_a_snapshot(sim):
    user = "0x" + "ee" * 20
    sim.trade(user, "BTC", "0.1")
    with client(sim) as one:
        _, first = one.subscribe(type="userFills", user=user)
        assert first["data"]["isSnapshot"] is True
        assert len(first["data"]["fills"]) == 1
        sim.trade(user, "BTC", "-0.3")
        (push,) = one.drain()
        assert [fill["dir"] for fill in push["data"]["fills"]] == ["Long > Short"]


@pytest.mark.parametrize(
    "kind",
    ["portfolio", "userRole", "userAbstraction", "spotClearinghouseState", "userFills"],
)
def test_every_request_about_a_user_is_answered(sim, kind):
    assert info(sim, kind, user=sim.traders()[0].upper().replace("0X", "0x")) is not None
    assert post(sim, {"type": kind, "user": "0xnothing"}).status_code == 422


def test_a_portfolio_reaches_back_to_the_accounts_first_day(sim):
    user = sim.traders()[0]
    windows = dict(info(sim, "portfolio", user=user))
    assert list(windows)[:4] == ["day", "week", "month", "allTime"]
    history = windows["allTime"]["accountValueHistory"]
    assert history[0][0] < sim.now_ms - 7 * 86_400_000
    assert abs(Decimal(history[-1][1]) - sim.truth(user).value) < Decimal("0.01")
    assert Decimal(windows["allTime"]["vlm"]) > 0


def test_market_contexts_stand_in_the_order_of_the_universe(sim):
    meta, contexts = info(sim, "metaAndAssetCtxs")
    assert len(meta["universe"]) == len(contexts)
    delisted = [row.get("isDelisted", False) for row in meta["universe"]]
    assert [context["midPx"] is None for context in contexts] == delisted
    recent = info(sim, "recentTrades", coin="BTC")
    assert len(recent) == 10
    assert recent[0]["time"] >= recent[-1]["time"]
    assert set(info(sim, "exchangeStatus")) == {"time", "specialStatuses"}
