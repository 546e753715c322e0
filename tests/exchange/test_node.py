"""Lines of a node's files: read strictly, and nothing else than WireError is raised."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.errors import WireError
from exchange.node import decode_line
from exchange.wire import Side

ADDRESS = "0x" + "Ab" * 20
FILL: dict[str, Any] = {
    "coin": "BTC",
    "px": "118802.0",
    "sz": "0.0008",
    "side": "A",
    "time": 1_752_671_760_585,
    "startPosition": "0.0008",
    "dir": "Close Long",
    "closedPnl": "0.0168",
    "hash": "0x00",
    "oid": 1,
    "crossed": True,
    "fee": "0.03",
    "tid": 525_842_706_619_552,
    "feeToken": "USDC",
}


def line(**changes: Any) -> bytes:
    """Return a line of node_fills."""
    return json.dumps([ADDRESS, {**FILL, **changes}]).encode()


def test_a_line_of_node_fills_is_one_fill():
    told = decode_line(line())

    [fill] = told.fills
    assert not told.is_block
    assert (fill.address, fill.coin, fill.side) == (ADDRESS.lower(), "BTC", Side.SELL)
    assert (fill.price, fill.size) == (Decimal("118802.0"), Decimal("0.0008"))
    assert (fill.start, fill.closed_pnl) == (Decimal("0.0008"), Decimal("0.0168"))
    assert fill.is_taker


def test_a_line_of_node_fills_by_block_is_all_of_its_fills():
    events = [[ADDRESS, FILL], [ADDRESS, {**FILL, "px": "-1"}], 7, [ADDRESS, {**FILL, "tid": 2}]]
    told = decode_line(json.dumps({"block_number": 1, "events": events}).encode())

    assert told.is_block
    assert told.bad == 2
    assert [fill.tid for fill in told.fills] == [FILL["tid"], 2]


def test_the_noise_of_floats_is_taken_out_of_a_start():
    [fill] = decode_line(line(startPosition="1064075.6000000001")).fills

    assert fill.start == Decimal("1064075.6")


@pytest.mark.parametrize("start", [None, "NaN", "1e5", "9" * 21, ""])
def test_a_start_that_cannot_be_read_is_unknown_and_costs_nothing_else(start):
    [fill] = decode_line(line(startPosition=start)).fills

    assert fill.start is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b'{"a":1}',
        b"\xff",
        b"[" * 5000,
        line()[:50],
        line(px="0"),
        line(sz="1e3"),
        line(side="X"),
        line(time=5),
        line(tid=-1),
        line(coin=""),
    ],
)
def test_what_is_no_fill_raises_a_wire_error(raw):
    with pytest.raises(WireError):
        decode_line(raw)


def test_trades_without_a_tid_are_named():
    with pytest.raises(WireError, match="node_trades"):
        decode_line(b'{"coin":"BTC","side":"B","side_info":[]}')


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(raw):
    try:
        decode_line(raw)
    except WireError:
        return
