"""Decodes the lines of a node's files of fills; pure.

A node started with `--write-fills` writes `node_fills`, a line for each fill: `["0x...", {fill}]`;
with `--batch-by-block` it writes `node_fills_by_block`, a line for each block, whose `events` are
such pairs. Both sides of a trade are there, with the same `tid`. Protocol: docs/wire.md.
"""

from __future__ import annotations

from decimal import Context, Decimal

import msgspec

from exchange import numbers
from exchange.errors import WireError
from exchange.wire import Side

#: Positions are computed with 64-bit floats: so many of their digits can be trusted.
_TRUSTED = Context(prec=15)
_SIDES = {"B": Side.BUY, "A": Side.SELL}


class NodeFill(msgspec.Struct, frozen=True, gc=False):
    """One side of a trade: what `address` did, and what it held before.

    `start` is the signed position before it, `closed_pnl` what it has realised before fees (USD);
    None where the line does not say it in a way that can be read.
    """

    address: str
    coin: str
    side: Side
    price: Decimal
    size: Decimal
    time_ms: int
    tid: int
    hash: str
    is_taker: bool
    start: Decimal | None
    closed_pnl: Decimal | None


class NodeLine(msgspec.Struct, frozen=True):
    """The fills of one line, in order; `bad` broke a rule and were left out.

    `is_block`: the line is a whole block. Else lines of the same time make a block.
    """

    fills: tuple[NodeFill, ...]
    bad: int
    is_block: bool


class _Fill(msgspec.Struct, gc=False):
    coin: str
    px: str
    sz: str
    side: str
    time: int
    tid: int
    crossed: bool = False
    hash: str = ""
    startPosition: str | None = None  # noqa: N815 (the exchange's name)
    closedPnl: str | None = None  # noqa: N815 (the exchange's name)


class _Block(msgspec.Struct):
    events: list[msgspec.Raw] | None = None
    side_info: msgspec.Raw = msgspec.Raw()


_fill = msgspec.json.Decoder(tuple[str, _Fill])
_block = msgspec.json.Decoder(_Block)


def decode_line(raw: bytes) -> NodeLine:
    """Return what a line tells; raises `WireError`, and nothing else, where it tells nothing."""
    try:
        if raw.lstrip()[:1] != b"{":
            return NodeLine((_read(raw),), 0, is_block=False)
        block = _block.decode(raw)
    except (ValueError, RecursionError) as error:
        raise WireError(f"bad line: {numbers.printable(str(error))}") from error
    if bytes(block.side_info):
        raise WireError("a line of node_trades: it has no tid, so nobody could count it once")
    if block.events is None:
        raise WireError("neither a fill nor a block of fills")
    fills = []
    for event in block.events:
        try:
            fills.append(_read(event))
        except (ValueError, RecursionError, WireError):
            continue
    return NodeLine(tuple(fills), len(block.events) - len(fills), is_block=True)


def _read(raw: bytes | msgspec.Raw) -> NodeFill:
    address, wire = _fill.decode(raw)
    side = _SIDES.get(wire.side)
    if side is None:
        raise WireError("unknown side")
    start = _told(wire.startPosition)
    return NodeFill(
        address=numbers.address(address),
        coin=numbers.coin(wire.coin),
        side=side,
        price=numbers.positive(wire.px),
        size=numbers.positive(wire.sz),
        time_ms=numbers.time_ms(wire.time),
        tid=numbers.tid(wire.tid),
        hash=numbers.transaction_hash(wire.hash),
        is_taker=wire.crossed,
        start=None if start is None else _TRUSTED.plus(start),
        closed_pnl=_told(wire.closedPnl),
    )


def _told(text: str | None) -> Decimal | None:
    try:
        value = None if text is None else numbers.exact(text)
    except WireError:
        return None
    return value if value is not None and abs(value) <= numbers.LARGEST else None
