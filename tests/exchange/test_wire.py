"""Frames become facts, and one bad trade never costs its neighbours."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange import wire
from exchange.errors import WireError
from tests.exchange.frames import BUYER, SELLER, TIME_MS, trade, trades
from tests.exchange.laws import JSON, law


def decode(raw: bytes | str) -> Any:
    """The frame, whatever its kind."""
    return wire.decode_frame(raw)


def test_it_reads_every_field_of_a_trade():
    frame = decode(trades(trade()))
    assert frame == wire.TradesFrame(
        "BTC",
        (
            wire.Trade(
                coin="BTC",
                side=wire.Side.SELL,
                price=Decimal("65001.0"),
                size=Decimal("0.0125"),
                time_ms=TIME_MS,
                tid=412345678901234,
                hash="0x" + "ab" * 32,
                buyer=BUYER,
                seller=SELLER,
            ),
        ),
        bad=0,
    )


def test_users_are_buyer_then_seller_whoever_was_the_aggressor():
    for side in ("A", "B"):
        [read] = decode(trades(trade(side=side))).trades
        assert (read.buyer, read.seller) == (BUYER, SELLER)


def test_it_lower_cases_addresses():
    [read] = decode(trades(trade(users=[BUYER.upper().replace("X", "x"), SELLER]))).trades
    assert read.buyer == BUYER


def test_it_keeps_the_order_of_a_block():
    rows = [trade(tid=tid) for tid in (9, 3, 7)]
    assert [read.tid for read in decode(trades(*rows)).trades] == [9, 3, 7]


def test_an_empty_frame_has_no_coin():
    assert decode(trades()) == wire.TradesFrame("", (), 0)


@pytest.mark.parametrize(
    "coin", ["kPEPE", "xyz:TSLA", "PURR/USDC", "@107", "#250", "xyz:A*?", "a" * 32, "two words"]
)
def test_it_accepts_every_kind_of_coin(coin):
    assert decode(trades(trade(coin=coin))).coin == coin


BAD: dict[str, list[dict[str, Any]]] = {
    "price": [
        {"px": text}
        for text in [
            "NaN",
            "Infinity",
            "-1",
            "0",
            "0.0",
            "1e5",
            "1_000.5",
            " 1",
            "1\n",
            "\uff11\uff12",
            "",
        ]
    ]
    + [{"px": "1" * 21}, {"px": "1." + "0" * 19}, {"px": "1000000000000001"}, {"px": 65001.0}],
    "size": [{"sz": "0"}, {"sz": "-0.1"}, {"sz": None}, {"sz": []}],
    "time": [{"time": t} for t in (0, 1_790_000_000, 4_102_444_800_000, -1, "1790000000123", 1.5)],
    "tid": [{"tid": -1}, {"tid": 2**63}, {"tid": 10**30}, {"tid": True}, {"tid": "7"}],
    "users": [
        {"users": users}
        for users in (
            [],
            [BUYER],
            [BUYER, SELLER, BUYER],
            [BUYER, None],
            None,
            [BUYER, SELLER + "0"],
            [BUYER, "0x" + "_1" * 20],
            [BUYER, "0x" + "g" * 40],
            [BUYER, SELLER + "\n"],
        )
    ],
    "coin": [{"coin": c} for c in ("", "a" * 33, "BTC\x00", "B\nTC", "₿", " BTC", "BTC ", None, 7)],
    "side": [{"side": side} for side in ("C", "", "b", None, 1)],
}


@pytest.mark.parametrize("changes", [c for rows in BAD.values() for c in rows], ids=repr)
def test_a_bad_trade_never_costs_its_neighbours(changes):
    frame = decode(trades(trade(tid=1), trade(tid=2) | changes, trade(tid=3)))
    assert [read.tid for read in frame.trades] == [1, 3]
    assert frame.bad == 1


SPOILT = [
    b"NaN",
    b"-Infinity",
    b"1e400",
    b"9" * 4_000,
    b'"\\ud800"',
    b'"\xff"',
    b'"\\u0000"',
    b"[[[[]]]]",
]


@pytest.mark.parametrize("spoilt", SPOILT, ids=lambda raw: repr(raw[:10]))
@pytest.mark.parametrize("key", [b"px", b"hash", b"coin", b"tid", b"new"])
def test_a_trade_that_spoils_the_json_costs_at_most_itself(spoilt, key):
    raw = trades(trade(tid=1), trade(tid=2), trade(tid=3))
    middle = raw.replace(b'"tid": 2', b'"tid": 2, "%s": %s' % (key, spoilt))
    frame = decode(middle)
    assert {read.tid for read in frame.trades} >= {1, 3}
    assert len(frame.trades) + frame.bad == 3


@pytest.mark.parametrize("row", [None, 7, "text", [], {}, {"coin": "BTC"}], ids=repr)
def test_a_row_that_is_no_trade_is_counted(row):
    frame = decode(trades(row, trade()))
    assert (frame.coin, len(frame.trades), frame.bad) == ("BTC", 1, 1)


def test_a_stranger_in_a_coins_frame_is_not_believed():
    frame = decode(trades(trade(), trade(coin="ETH")))
    assert (frame.coin, len(frame.trades), frame.bad) == ("BTC", 1, 1)


@pytest.mark.parametrize("text", ["", "0x", "\x00", "<script>", "0x" + "0" * 63])
def test_a_hash_that_is_none_is_left_empty(text):
    [read] = decode(trades(trade(hash=text))).trades
    assert read.hash == ""


def test_unknown_fields_are_accepted_and_a_missing_hash_too():
    row = trade(liquidation={"deep": [1]})
    del row["hash"]
    assert len(decode(trades(row)).trades) == 1


@pytest.mark.parametrize(
    ("raw", "frame"),
    [
        (b"Websocket connection established.", wire.Banner()),
        (b'{"channel":"pong"}', wire.Pong()),
        (b'{"channel":"error","data":"Already subscribed"}', wire.ErrorFrame("Already subscribed")),
        (b'{"channel":"l2Book","data":{"coin":"BTC"}}', wire.Other("l2Book")),
        (b'{"data":1,"channel":"new"}', wire.Other("new")),
        (
            (
                b'{"channel":"subscriptionResponse","data":{"method":"subscribe","subscription":'
                b'{"type":"l2Book","coin":"BTC","nSigFigs":null}}}'
            ),
            wire.Ack("subscribe", {"type": "l2Book", "coin": "BTC", "nSigFigs": None}),
        ),
        (
            (
                b'{"channel":"bbo","data":{"coin":"BTC","time":1790000000000,'
                b'"bbo":[{"px":"65012.0","sz":"1.2","n":3},null]}}'
            ),
            wire.Bbo("BTC", 1790000000000, Decimal("65012.0"), None),
        ),
        (
            b'{"channel":"allMids","data":{"mids":{"BTC":"65000.5","@107":"41.2","X":"NaN"}}}',
            wire.AllMids("", {"BTC": Decimal("65000.5"), "@107": Decimal("41.2")}),
        ),
        (b'{"channel":"allMids","data":{"dex":"xyz","mids":{}}}', wire.AllMids("xyz", {})),
    ],
)
def test_it_reads_the_other_channels(raw, frame):
    assert decode(raw) == frame
    assert decode(raw.decode()) == frame


HOSTILE = [
    b"",
    b"null",
    b"[]",
    b"7",
    b"{",
    b"<html>502</html>",
    b"\x00\x01\x02",
    b"\xff\xfe",
    b'{"channel":"\xff"}',
    b'{"channel":"\\ud800"}',
    b'{"channel":7}',
    b'{"channel":"trades"}',
    b'{"channel":"trades","data":{}}',
    b'{"channel":"bbo","data":NaN}',
    b'{"channel":"trades","data":"' + b"x" * 100_000 + b'"}',
    b'{"channel":"trades","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"channel":"bbo","data":{"coin":"BTC","time":1e400,"bbo":[null,null]}}',
    b'{"channel":"error","data":{"code":1}}',
    b'{"channel":"allMids","data":[]}',
    b'{"channel":"subscriptionResponse","data":' + b"9" * 5_000 + b"}",
]


@pytest.mark.parametrize("raw", HOSTILE, ids=lambda raw: repr(raw[:40]))
def test_a_hostile_frame_is_a_wire_error(raw):
    with pytest.raises(WireError):
        decode(raw)


def test_the_last_of_two_equal_keys_counts_as_for_any_reader():
    raw = trades(trade()).replace(b'"tid":', b'"tid": 5, "tid":')
    [read] = decode(raw).trades
    assert read.tid == trade()["tid"]


CHANNELS = ["trades", "bbo", "allMids", "subscriptionResponse", "error", "pong", "x"]


@law
@given(JSON)
def test_any_json_gives_a_frame_or_a_wire_error(value):
    _decode_or_refuse(json.dumps(value).encode())


@law
@given(st.sampled_from(CHANNELS), JSON)
def test_any_data_on_a_channel_gives_a_frame_or_a_wire_error(channel, data):
    _decode_or_refuse(json.dumps({"channel": channel, "data": data}).encode())


@law
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(trade(), JSON)))
def test_any_change_to_a_trade_costs_only_that_trade(changes):
    frame = decode(trades(trade(tid=1), trade(tid=2) | changes))
    assert frame.trades[0].tid == 1
    assert len(frame.trades) + frame.bad == 2


@law
@given(st.binary() | st.text())
def test_any_message_gives_a_frame_or_a_wire_error(raw):
    _decode_or_refuse(raw)


def _decode_or_refuse(raw: bytes | str) -> None:
    try:
        frame = decode(raw)
    except WireError:
        return
    msgspec.json.encode(msgspec.structs.asdict(frame))
