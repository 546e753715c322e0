"""Decodes every WebSocket frame that we use; pure, and the only reader of the feed's JSON.

``decode_frame`` turns one message into one ``Frame``. What positions depend on is strict (numbers,
times, addresses, side); unknown fields, channels and texts are accepted. One bad trade never costs
its neighbours: it is left out and counted in ``TradesFrame.bad``.

Protocol: docs/wire.md, after the exchange's documentation, "Websocket / Subscriptions".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec

from exchange import numbers
from exchange.errors import WireError

#: Plain text that a server may send first; every other text that is not JSON is a bad frame.
BANNER = b"Websocket connection established"


class Side(StrEnum):
    """Who was the aggressor of a trade: ``B`` and ``A`` on the wire."""

    BUY = "BUY"
    SELL = "SELL"


class Trade(msgspec.Struct, frozen=True, gc=False):
    """One trade: ``size`` coins went from ``seller`` to ``buyer``. Its key is (coin, time_ms, tid).

    ``side`` is the aggressor; ``hash`` is a transaction's (many trades share one, TWAP slices have
    zeros) or empty, never a key.
    """

    coin: str
    side: Side
    price: Decimal
    size: Decimal
    time_ms: int
    tid: int
    hash: str
    buyer: str
    seller: str


class TradesFrame(msgspec.Struct, frozen=True):
    """Trades of one coin, oldest first: a live block, or the replay that follows a subscribe.

    ``bad`` counts the trades that broke a rule and were left out. A frame without a readable trade
    has no coin ("").
    """

    coin: str
    trades: tuple[Trade, ...]
    bad: int


class Bbo(msgspec.Struct, frozen=True):
    """Best bid and ask of a coin at a block; ``None`` where that side of the book is empty."""

    coin: str
    time_ms: int
    bid: Decimal | None
    ask: Decimal | None


class AllMids(msgspec.Struct, frozen=True):
    """Mid prices by coin of one dex ("" is the main one); unreadable ones are left out."""

    dex: str
    mids: dict[str, Decimal]


class Ack(msgspec.Struct, frozen=True):
    """The server did what a ``subscribe`` or ``unsubscribe`` asked; its echo may add keys."""

    method: str
    subscription: dict[str, Any]


class ErrorFrame(msgspec.Struct, frozen=True):
    """An error that the server tells in words; it never ends the connection."""

    text: str


class Pong(msgspec.Struct, frozen=True):
    """The answer to our ping."""


class Banner(msgspec.Struct, frozen=True):
    """The plain-text greeting."""


class Other(msgspec.Struct, frozen=True):
    """A channel that we do not read."""

    channel: str


Frame: TypeAlias = TradesFrame | Bbo | AllMids | Ack | ErrorFrame | Pong | Banner | Other


class _Envelope(msgspec.Struct):
    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Trade(msgspec.Struct, gc=False):
    coin: str
    side: str
    px: str
    sz: str
    time: int
    tid: int
    users: tuple[str, str]
    hash: str = ""


class _Level(msgspec.Struct):
    px: str


class _Bbo(msgspec.Struct):
    coin: str
    time: int
    bbo: tuple[_Level | None, _Level | None]


class _AllMids(msgspec.Struct):
    mids: dict[str, Any]
    dex: str | None = None


class _Ack(msgspec.Struct):
    method: str
    subscription: dict[str, Any]


_SIDES = {"B": Side.BUY, "A": Side.SELL}

_envelope = msgspec.json.Decoder(_Envelope)
_trades = msgspec.json.Decoder(list[_Trade])
_trade = msgspec.json.Decoder(_Trade)
_rows = msgspec.json.Decoder(list[msgspec.Raw])
_bbo = msgspec.json.Decoder(_Bbo)
_mids = msgspec.json.Decoder(_AllMids)
_ack = msgspec.json.Decoder(_Ack)
_text = msgspec.json.Decoder(str)


def decode_frame(raw: bytes | str) -> Frame:
    """The frame that one WebSocket message carries; raises ``WireError``, and nothing else."""
    # msgspec's own errors and those of bad UTF-8 are ValueErrors; deep nesting is a RecursionError.
    try:
        data = raw.encode() if isinstance(raw, str) else raw
        try:
            return _decode(data)
        except (ValueError, RecursionError):
            return _rescue(data)
    except (ValueError, RecursionError) as error:
        raise WireError(f"bad frame: {numbers.printable(str(error))}") from error


def _decode(raw: bytes) -> Frame:
    if raw.startswith(BANNER):
        return Banner()
    envelope = _envelope.decode(raw)
    read = _CHANNELS.get(envelope.channel)
    if read is None:
        return Other(numbers.printable(envelope.channel, limit=64))
    return read(envelope.data)


def mids(prices: dict[str, Any]) -> dict[str, Decimal]:
    """The readable ones of a coin -> price map; shared with the REST reply of the same shape."""
    readable = {}
    for coin, price in prices.items():
        try:
            readable[numbers.coin(coin)] = numbers.positive(str(price))
        except WireError:
            continue
    return readable


def _trades_frame(data: msgspec.Raw) -> TradesFrame:
    """All trades of ``data``: typed in one go, or one by one where that fails."""
    try:
        return _collect(_trades.decode(data))
    except (ValueError, RecursionError):
        return _one_by_one(_rows.decode(data))


def _one_by_one(rows: Iterable[bytes | msgspec.Raw]) -> TradesFrame:
    wires = []
    bad = 0
    for row in rows:
        try:
            wires.append(_trade.decode(row))
        except (ValueError, RecursionError):
            bad += 1
    return _collect(wires, bad)


def _collect(wires: list[_Trade], bad: int = 0) -> TradesFrame:
    trades: list[Trade] = []
    for wire in wires:
        try:
            trade = _read(wire)
        except WireError:
            bad += 1
            continue
        # A frame holds one coin (1,129 of 1,129 recorded frames); a stranger in it is not believed.
        if trades and trade.coin != trades[0].coin:
            bad += 1
            continue
        trades.append(trade)
    # Oldest first, as sent: the sort is stable and costs nothing then.
    trades.sort(key=attrgetter("time_ms"))
    return TradesFrame(trades[0].coin if trades else "", tuple(trades), bad)


def _rescue(raw: bytes) -> TradesFrame:
    """A trades frame in which one trade spoils the JSON of all: a NaN, a lone surrogate, bad UTF-8.

    The standard library's reader forgives these, so the other trades are saved.
    """
    frame = json.loads(raw.decode("utf-8", "replace"), parse_constant=lambda _: None)
    if not isinstance(frame, dict) or frame.get("channel") != "trades":
        raise ValueError("not JSON")
    rows = frame.get("data")
    if not isinstance(rows, list):
        raise ValueError("trades without a list")
    return _one_by_one(json.dumps(row).encode() for row in rows)


def _read(wire: _Trade) -> Trade:
    side = _SIDES.get(wire.side)
    if side is None:
        raise WireError("unknown side")
    # users is [buyer, seller], not [taker, maker]: docs/decisions/0003.
    buyer, seller = wire.users
    return Trade(
        coin=numbers.coin(wire.coin),
        side=side,
        price=numbers.positive(wire.px),
        size=numbers.positive(wire.sz),
        time_ms=numbers.time_ms(wire.time),
        tid=numbers.tid(wire.tid),
        hash=numbers.transaction_hash(wire.hash),
        buyer=numbers.address(buyer),
        seller=numbers.address(seller),
    )


def _bbo_frame(data: msgspec.Raw) -> Bbo:
    wire = _bbo.decode(data)
    bid, ask = wire.bbo
    return Bbo(
        coin=numbers.coin(wire.coin),
        time_ms=numbers.time_ms(wire.time),
        bid=numbers.positive(bid.px) if bid else None,
        ask=numbers.positive(ask.px) if ask else None,
    )


def _all_mids(data: msgspec.Raw) -> AllMids:
    wire = _mids.decode(data)
    # The main dex is named "" or not at all.
    return AllMids(numbers.coin(wire.dex) if wire.dex else "", mids(wire.mids))


def _acknowledgement(data: msgspec.Raw) -> Ack:
    ack = _ack.decode(data)
    return Ack(ack.method, ack.subscription)


_CHANNELS: dict[str, Callable[[msgspec.Raw], Frame]] = {
    "trades": _trades_frame,
    "bbo": _bbo_frame,
    "allMids": _all_mids,
    "subscriptionResponse": _acknowledgement,
    "error": lambda data: ErrorFrame(_text.decode(data)),
    "pong": lambda _data: Pong(),
}
