"""Recorded frames and accounts are played as they are."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from simulator import Simulator
from simulator.recording import read_frames
from simulator.replay import Replay
from tests.simulator.feed_client import client, info

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("HLCOPY_SHARED_DATA", ROOT.parent / "shared" / "data"))
MIXED = SHARED / "ws_mixed_trades_bbo_l2_5coins_90s_20260722.jsonl.gz"
BTC = SHARED / "ws_frames_btc_20250126.jsonl.gz"
needs_shared_data = pytest.mark.skipif(not MIXED.exists(), reason="no recorded frames here")

A, B, C, D = ("0x" + digit * 40 for digit in "abcd")


def trade(tid: int, *, coin: str = "BTC", users: tuple[str, str] = (A, B)) -> dict[str, Any]:
    return {
        "coin": coin,
        "side": "B",
        "px": "100.5",
        "sz": "0.25",
        "time": 1_790_000_000_000 + tid,
        "hash": "0x" + "0" * 64,
        "tid": tid,
        "users": list(users),
    }


def flat(seconds: float, channel: str, data: Any) -> str:
    at_ns = int(seconds * 1e9)
    return json.dumps({"received_wall_ns": at_ns, "channel": channel, "data": data})


def wrapped(seconds: float, channel: str, data: Any) -> str:
    frame = {"channel": channel, "data": data}
    return json.dumps({"recv_ns": int(seconds * 1e9), "frame": frame})


def record(folder: Path, write: Any = flat) -> Path:
    """Two coins; BTC's second block comes two seconds after its replay frame."""
    bbo = {"coin": "BTC", "time": 1, "bbo": [None, None]}
    lines = [
        write(0, "subscriptionResponse", {"method": "subscribe"}),
        write(1, "trades", [trade(1), trade(2)]),
        write(1.5, "trades", [trade(7, coin="xyz:NEW", users=(C, A))]),
        write(2, "bbo", bbo),
        write(3, "trades", [trade(3)]),
        write(3.5, "trades", [trade(8, coin="xyz:NEW", users=(C, A))]),
        write(4, "trades", [trade(4), trade(5)]),
    ]
    path = folder / "frames.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def state_of(coin: str, size: str) -> dict[str, Any]:
    position = {"coin": coin, "szi": size, "positionValue": "10.0"}
    return {
        "marginSummary": {"accountValue": "5.0"},
        "assetPositions": [{"type": "oneWay", "position": position}],
        "time": 17,
    }


@pytest.mark.parametrize("write", [flat, wrapped])
def test_both_wrappers_are_read(tmp_path, write):
    frames = read_frames(record(tmp_path, write))
    assert [(f.channel, f.coin) for f in frames if f.channel == "trades"] == [
        ("trades", "BTC"),
        ("trades", "xyz:NEW"),
        ("trades", "BTC"),
        ("trades", "xyz:NEW"),
        ("trades", "BTC"),
    ]
    assert json.loads(frames[0].text) == {"channel": "trades", "data": [trade(1), trade(2)]}


def test_an_unreadable_line_is_named(tmp_path):
    path = tmp_path / "frames.jsonl"
    path.write_text(flat(1, "trades", [trade(1)]) + "\n{nonsense\n")
    with pytest.raises(ValueError, match="line 2"):
        read_frames(path)


def test_the_recorded_replay_comes_first_and_the_rest_at_its_pace(tmp_path):
    replay = Replay(record(tmp_path), speed=1e-9)
    with Simulator(world=replay) as sim, client(sim) as one, client(sim) as two:
        _, first = one.subscribe(type="trades", coin="BTC")
        assert first["data"] == [trade(1), trade(2)]
        sim.step(seconds=1.9)
        assert one.trades() == []
        sim.step(seconds=0.2)
        assert one.trades() == [[trade(3)]]
        _, later = two.subscribe(type="trades", coin="BTC")
        assert later["data"] == [trade(1), trade(2), trade(3)]
        sim.step(seconds=10)
        assert one.trades() == two.trades() == [[trade(4), trade(5)]]
        assert sim.state()["finished"] is False
        one.subscribe(type="trades", coin="xyz:NEW")
        sim.step(seconds=1.9)
        assert one.trades() == []
        sim.step(seconds=0.2)
        assert [frame[0]["tid"] for frame in one.trades()] == [8]
        assert sim.state()["finished"] is True


def test_a_loop_plays_the_same_frames_again(tmp_path):
    replay = Replay(record(tmp_path), speed=1e-9, loop=True)
    with Simulator(world=replay) as sim, client(sim) as one:
        one.subscribe(type="trades", coin="BTC")
        sim.step(6)
        played = one.trades()
        assert played[: len(played) // 2] == played[len(played) // 2 :]
        assert sim.state()["at_end"] == "loop"


def test_it_plays_in_real_time_by_itself(tmp_path):
    with Simulator(world=Replay(record(tmp_path), speed=200)) as sim, client(sim) as one:
        one.subscribe(type="trades", coin="BTC")
        assert one.frame()["data"] == [trade(3)]


def recorded_account(folder: Path, number: int, coin: str, size: str) -> None:
    file = folder / f"clearinghouseState_{number}.json"
    file.write_text(json.dumps(state_of(coin, size)))


def sizes(sim: Simulator, user: str) -> dict[str, str]:
    rows = info(sim, "clearinghouseState", user=user)["assetPositions"]
    return {row["position"]["coin"]: row["position"]["szi"] for row in rows}


def test_positions_follow_what_is_played_and_states_are_three_seconds_behind(tmp_path):
    later = [trade(number, users=(B, C)) for number in (1000, 5000, 9000)]
    lines = [flat(1, "trades", [trade(1), trade(2, users=(D, A))])]
    lines += [flat(2 + number, "trades", [late]) for number, late in enumerate(later)]
    lines += [flat(6, "trades", [later[0]]), flat(7, "trades", [trade(9001, coin="xyz:NEW")])]
    path = tmp_path / "frames.jsonl"
    path.write_text("\n".join(lines))
    for number, size in enumerate(("-0.1", "1064075.6000000001", "0.25")):
        recorded_account(tmp_path, number, "BTC", size)
    with Simulator(world=Replay(path, speed=1e-9)) as sim, client(sim) as one:
        # A and D trade nothing after the openings.
        assert list(sim.state()["accounts"]) == [A, D, B]
        one.subscribe(type="trades", coin="BTC")
        before = info(sim, "clearinghouseState", user=C)
        assert before["time"] == trade(2)["time"] - 3000
        assert sizes(sim, B) == {"BTC": "0.25"}

        sim.step(seconds=2.5)  # two of them, and the second one is not three seconds old
        assert info(sim, "clearinghouseState", user=C)["time"] == trade(5000)["time"] - 3000
        assert (sizes(sim, B), sizes(sim, C)) == ({"BTC": "0.5"}, {"BTC": "-0.25"})
        sim.step(seconds=100)  # the third, and the first one once more
        assert (sizes(sim, B), sizes(sim, C)) == ({"BTC": "0.75"}, {"BTC": "-0.5"})
        assert sizes(sim, D) == {"BTC": "1064075.6000000001"}
        assert sizes(sim, A) == {"BTC": "-0.1"}
        at_the_end = info(sim, "clearinghouseState", user=D)["time"]
        sim.step(seconds=100)
        assert info(sim, "clearinghouseState", user=D)["time"] == at_the_end


def test_recorded_accounts_belong_to_the_first_addresses(tmp_path):
    path = record(tmp_path)
    (tmp_path / "clearinghouseState_1.json").write_text(json.dumps(state_of("BTC", "-0.5")))
    push = [{"channel": "webData2", "data": {"clearinghouseState": state_of("ARB", "7.25")}}]
    (tmp_path / "a-webData2.json.gz").write_bytes(gzip.compress(json.dumps(push).encode()))
    meta = [{"request": {}, "response": [{"universe": [{"name": "BTC", "szDecimals": 5}]}]}]
    (tmp_path / "metaAndAssetCtxs_1.json").write_text(json.dumps(meta))
    with Simulator(world=Replay(path, speed=1e-9)) as sim:
        accounts = sim.state()["accounts"]
        assert accounts == {A: "a-webData2.json.gz", B: "clearinghouseState_1.json"}
        (row,) = info(sim, "clearinghouseState", user=A)["assetPositions"]
        assert row["position"]["szi"] == "7.25"
        assert info(sim, "clearinghouseState", user=B)["time"] > 17
        assert info(sim, "clearinghouseState", user=C)["assetPositions"] == []
        assert info(sim, "clearinghouseState", user=A, dex="xyz")["assetPositions"] == []
        universe = {row["name"]: row["szDecimals"] for row in info(sim, "meta")["universe"]}
        assert universe == {"BTC": 5, "ARB": 2}
        assert [r["name"] for r in info(sim, "meta", dex="xyz")["universe"]] == ["xyz:NEW"]
        assert info(sim, "perpDexs")[1]["name"] == "xyz"
        for kind in ("portfolio", "spotClearinghouseState", "userAbstraction", "userFills"):
            assert info(sim, kind, user=A) is not None
        with pytest.raises(TypeError, match="recording"):
            sim.deposit(A, 1)


@needs_shared_data
@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("path", "trades", "addresses", "accounts"), [(MIXED, 429, 202, 9), (BTC, 64, 31, 9)]
)
def test_the_real_recordings_are_played_whole(path, trades, addresses, accounts):
    replay = Replay(path, speed=1e-9)
    with Simulator(world=replay) as sim, client(sim) as one:
        assert (sim.state()["trades_total"], sim.state()["addresses"]) == (trades, addresses)
        assert len(sim.state()["accounts"]) == accounts
        seen = []
        for coin in sim.state()["coins"]:
            _, first = one.subscribe(type="trades", coin=coin)
            seen += first["data"]
        sim.step(seconds=1000)
        seen += [trade for frame in one.trades() for trade in frame]
        assert len(seen) == trades
        assert len({user for trade in seen for user in trade["users"]}) == addresses
        holders = [info(sim, "clearinghouseState", user=user) for user in sim.state()["accounts"]]
        sizes = [r["position"]["szi"] for state in holders for r in state["assetPositions"]]
        assert "1064075.6000000001" in sizes
        names = {row["name"] for row in info(sim, "meta")["universe"]}
        assert {r["position"]["coin"] for s in holders for r in s["assetPositions"]} <= names
