"""What a snapshot tells of a position, carried on by the fills after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from decimal import Decimal

from traders import positions
from traders.backsolving import WaitedFill
from traders.folding import Block
from traders.models import Position
from traders.positions import ZERO, Fill

#: What a snapshot tells of one size alone; the rest is of one direction.
OF_SIZE = ("notional", "unrealised_pnl", "margin_used", "liquidation_price")


def carried_on(told: Position, fills: Iterable[tuple[Decimal, Decimal]]) -> Position | None:
    """Return the row of now, None if nothing is held; what depends on the size is unknown.

    `told`: as the snapshot has it, of size 0 if it holds none. `fills`: (signed size, price), in
    the order of the feed.
    """
    entry_price = told.entry_price if told.size else ZERO
    now = positions.Position(told.coin, told.size, entry_price)
    for size, price in fills:
        fill = Fill(told.coin, "BUY" if size > 0 else "SELL", price, abs(size))
        now, _ = positions.apply(now, fill)
    if now.size == 0:
        return None
    if told.size * now.size > 0:
        row = copy(told)
        for name in OF_SIZE:
            setattr(row, name, None)
    else:
        row = Position(trader_id=told.trader_id, dex=told.dex, coin=told.coin)
    row.size, row.entry_price = now.size, now.entry_price
    return row


def blocks(trader_id: int, coin: str, fills: Sequence[WaitedFill]) -> list[Block]:
    """Return the fills by block, in order."""
    found: dict[int, Block] = {}
    for fill in fills:
        block = found.setdefault(fill.time_ms, Block(trader_id, coin, fill.time_ms))
        block.add(fill.size, fill.price, is_taker=fill.is_taker)
    return list(found.values())


def held_as(coin: str, row: Position | None) -> dict[str, positions.Position]:
    """Return a row as what a difference is made of."""
    if row is None:
        return {}
    return {coin: positions.Position(coin, row.size, row.entry_price, row.mark_price)}
