"""Real captured frames and replies, which are not in the repository: skipped where absent."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchange import numbers, replies, wire

DATA = Path(
    os.environ.get("HLCOPY_SHARED_DATA", Path(__file__).parents[2].parent / "shared" / "data")
)
pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the recorded frames are not here"),
]
MIXED = "ws_mixed_trades_bbo_l2_5coins_90s_20260722.jsonl.gz"


def load(name: str) -> Any:
    """A JSON file of the recordings."""
    raw = (DATA / name).read_bytes()
    return json.loads(gzip.decompress(raw) if name.endswith(".gz") else raw)


def reply(name: str) -> Any:
    """The first recorded reply of a file of requests and replies."""
    recorded = load(name)
    return (recorded[0] if isinstance(recorded, list) else recorded)["response"]


def frames(name: str) -> Iterator[Any]:
    """The decoded frames of a file of lines, in either wrapper."""
    with gzip.open(DATA / name) as lines:
        for line in lines:
            row = json.loads(line)
            frame = row.get("frame") or {"channel": row["channel"], "data": row["data"]}
            yield wire.decode_frame(json.dumps(frame))


def test_every_recorded_trade_is_read():
    read = [frame for frame in frames(MIXED) if isinstance(frame, wire.TradesFrame)]
    trades = [trade for frame in read for trade in frame.trades]
    assert (len(read), len(trades), sum(frame.bad for frame in read)) == (208, 429, 0)
    addresses = {address for trade in trades for address in (trade.buyer, trade.seller)}
    assert len(addresses) == 202
    assert len({(trade.coin, trade.time_ms, trade.tid) for trade in trades}) == 428
    assert all(len(frame.trades) == 30 for frame in _first_of_each_coin(read))


def _first_of_each_coin(read: list[wire.TradesFrame]) -> list[wire.TradesFrame]:
    return list({frame.coin: frame for frame in reversed(read)}.values())


def test_every_other_recorded_frame_is_read():
    kinds = [type(frame) for frame in frames(MIXED)]
    assert kinds.count(wire.Bbo) == 1493
    assert kinds.count(wire.Other) == 85
    older = list(frames("ws_frames_btc_20250126.jsonl.gz"))
    assert sum(len(f.trades) for f in older if isinstance(f, wire.TradesFrame)) == 64
    assert not any(f.bad for f in older if isinstance(f, wire.TradesFrame))


def test_float_noise_of_a_recorded_account_is_taken_out():
    raw = (DATA / "clearinghouseState_float_noise_20261002.json").read_bytes()
    state = replies.decode_clearinghouse_state(raw)
    sizes = {position.coin: position.signed_size for position in state.positions}
    assert len(sizes) == 10
    meta = replies.decode_meta(json.dumps(reply("metaAndAssetCtxs_20250822.json.gz")[0]).encode())
    decimals = {coin.name: coin.size_decimals for coin in meta}
    known = {coin: size for coin, size in sizes.items() if coin in decimals}
    quantised = {coin: numbers.quantise(size, decimals[coin]) for coin, size in known.items()}
    assert quantised["ARB"] == Decimal("1064075.6")
    assert quantised["ZRO"] == Decimal("1161681.9")
    assert quantised["EIGEN"] == Decimal("1572797.9")
    assert quantised["BTC"] == sizes["BTC"] == Decimal("-21.0955")
    assert all(abs(quantised[coin] - size) < Decimal("1e-8") for coin, size in known.items())


@pytest.mark.parametrize(
    ("name", "signs"),
    [
        ("gareth_1-webData2-ZeroBalance-all.json.gz", []),
        ("gareth_4-webData2-openPosition-all.json.gz", [-1]),
        ("gareth_6-webData2-spotAndPerps.json.gz", [-1]),
        ("gareth_9-webData2-shortPosition-spotAndPerps.json.gz", [1]),
    ],
)
def test_recorded_accounts_long_short_and_flat_are_read(name, signs):
    states = [
        replies.decode_clearinghouse_state(json.dumps(push["data"]["clearinghouseState"]).encode())
        for push in load(name)
        if push["channel"] == "webData2"
    ]
    assert states
    for state in states:
        assert [1 if p.signed_size > 0 else -1 for p in state.positions] == signs


def test_recorded_market_replies_are_read():
    meta = reply("metaAndAssetCtxs_20250822.json.gz")[0]
    assert len(replies.decode_meta(json.dumps(meta).encode())) == len(meta["universe"])
    xyz = reply("metaAndAssetCtxs_dex_xyz_20260206.json.gz")[0]
    coins = replies.decode_meta(json.dumps(xyz).encode())
    assert all(coin.name.startswith("xyz:") and coin.only_isolated for coin in coins)
    dexs = replies.decode_perp_dexs(json.dumps(reply("perpDexs_20251213.json")).encode())
    assert dexs[:2] == ("", "xyz")
    mids = reply("allMids_20251213.json.gz")
    assert len(replies.decode_all_mids(json.dumps(mids).encode())) == len(mids)
