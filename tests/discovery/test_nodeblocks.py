"""Lines become whole blocks, fills become trades."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from discovery.nodeblocks import Blocks, NodeBlock, start_of, trades_of
from exchange.node import NodeFill, NodeLine
from exchange.wire import Side
from tests.discovery.node_market import BEGUN_MS
from traders.cursors import Start

ANN, BOB, EVE = (f"0x{number:040x}" for number in (1, 2, 3))


def fill(address: str = ANN, side: str = "B", **changes: Any) -> NodeFill:
    """Return a fill of one BTC at 100."""
    told: dict[str, Any] = {
        "address": address,
        "coin": "BTC",
        "side": Side.BUY if side == "B" else Side.SELL,
        "price": Decimal(100),
        "size": Decimal(1),
        "time_ms": BEGUN_MS,
        "tid": 7,
        "hash": "",
        "is_taker": False,
        "start": Decimal(0),
        "closed_pnl": None,
    }
    return NodeFill(**{**told, **changes})


def read(times: list[int], *, is_block: bool = False) -> tuple[list[NodeBlock], Blocks]:
    """Return the blocks of lines with these times, of ten bytes each, and the reader."""
    blocks, found = Blocks(), []
    for number, time_ms in enumerate(times):
        line = NodeLine((fill(time_ms=BEGUN_MS + time_ms),), 0, is_block=is_block)
        found += blocks.add(line, begin=10 * number, end=10 * number + 10, number=number + 1)[0]
    return found, blocks


def test_both_sides_with_one_tid_are_one_trade():
    fills = [fill(ANN, "B", start=Decimal(5)), fill(BOB, "A", start=Decimal(-2), is_taker=True)]

    for sides in (fills, fills[::-1]):
        [(coin, ([trade], [starts]))] = trades_of(sides).items()
        assert (coin, trade.buyer, trade.seller, trade.side) == ("BTC", ANN, BOB, Side.SELL)
        assert starts == (Start(Decimal(5)), Start(Decimal(-2)))


def test_fills_without_a_partner_are_trades_of_one_side_with_keys_of_their_own():
    fills = [
        fill(ANN, "B", tid=0),
        fill(BOB, "B", tid=0),
        fill(EVE, "B", tid=9),
        fill(ANN, "A", tid=9, size=Decimal(3)),
        fill(BOB, "A", tid=5),
    ]
    trades, _ = trades_of(fills)["BTC"]

    assert [(trade.buyer, trade.seller) for trade in trades] == [
        (ANN, ""),
        (BOB, ""),
        (EVE, ""),
        ("", ANN),
        ("", BOB),
    ]
    assert len({trade.tid for trade in trades}) == 5
    assert trades == trades_of(fills)["BTC"][0]


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_every_fill_is_in_exactly_one_trade_whatever_the_order(seed, count):
    chance = random.Random(seed)
    fills = [
        fill(address, side, tid=tid, coin=chance.choice(["BTC", "ETH"]))
        for tid in range(count)
        for address, side in ((ANN, "B"), (BOB, "A"))[: chance.randint(1, 2)]
    ]
    chance.shuffle(fills)

    told = [
        (trade.coin, address, is_bought)
        for trades, _ in trades_of(fills).values()
        for trade in trades
        for address, is_bought in ((trade.buyer, True), (trade.seller, False))
        if address
    ]

    assert sorted(told) == sorted((f.coin, f.address, f.side is Side.BUY) for f in fills)


def test_a_fill_that_closes_tells_the_entry_price():
    long = fill(side="A", start=Decimal(4), price=Decimal(110), closed_pnl=Decimal(10))
    short = fill(side="B", start=Decimal(-4), price=Decimal(90), closed_pnl=Decimal(10))
    flip = fill(side="A", start=Decimal("0.5"), price=Decimal(110), closed_pnl=Decimal(5))

    assert start_of(long) == Start(Decimal(4), Decimal(100))
    assert start_of(short) == Start(Decimal(-4), Decimal(100))
    assert start_of(flip) == Start(Decimal("0.5"), Decimal(100))


def test_other_fills_tell_no_entry_price():
    pnl = Decimal(10)
    assert start_of(fill(side="B", start=Decimal(4), closed_pnl=pnl)) == Start(Decimal(4))
    assert start_of(fill(side="A", start=Decimal(4), closed_pnl=Decimal(0))) == Start(Decimal(4))
    # Nobody paid less than nothing.
    assert start_of(fill(side="A", start=Decimal(4), closed_pnl=Decimal(500))) == Start(Decimal(4))
    assert start_of(fill(start=None)) is None


def test_lines_of_one_time_are_one_block_that_ends_where_the_next_begins():
    found, blocks = read([0, 0, 50, 50, 50, 90])

    assert [(len(block.fills), block.end, block.line) for block in found] == [
        (2, 20, 2),
        (3, 50, 5),
    ]
    assert [block.end for block in blocks.rest(60, 6, before_ms=BEGUN_MS + 90)] == [60]
    assert blocks.is_clean


def test_a_line_that_is_a_block_need_not_wait_for_the_next():
    found, _ = read([0, 50], is_block=True)

    assert len(found) == 2


def test_a_block_of_a_time_to_come_is_not_believed():
    found, blocks = read([0, 10, 10_000_000, 20, 30], is_block=True)

    assert [block.time_ms - BEGUN_MS for block in found] == [0, 10, 20, 30]
    assert [block.damaged for block in found] == [0, 0, 1, 0]
    assert blocks.newest_ms == BEGUN_MS + 30


def test_a_long_pause_is_believed_when_the_next_block_is_there_too():
    found, _ = read([0, 10_000_000, 10_000_020], is_block=True)

    assert [block.time_ms - BEGUN_MS for block in found] == [0, 10_000_000, 10_000_020]


def test_the_last_block_is_believed_up_to_now():
    _, blocks = read([0, 10, 10_000_000], is_block=True)

    assert not blocks.rest(30, 3, before_ms=BEGUN_MS + 5_000_000)
    assert not blocks.is_clean
    assert blocks.rest(30, 3, before_ms=BEGUN_MS + 10_000_000)


def test_a_block_of_a_time_long_gone_is_left_out():
    found, _ = read([0, 100_000, 100_001, 5, 100_002], is_block=True)

    assert [block.time_ms - BEGUN_MS for block in found] == [0, 100_000, 100_001, 100_002]
    assert found[-1].damaged == 1
