"""The row-by-row design: the ORM, one transaction a frame, the same tables and indexes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from django.db import transaction
from django.db.models import F

from exchange.wire import Side, Trade
from hlcopy.clock import from_ms, utc_now
from traders import positions
from traders.cursors import Arrival
from traders.models import EventHead, Position, PositionEvent, Trader, TraderDay
from traders.positions import Change, Fill


def write(frames: Sequence[Arrival]) -> None:
    """Take frame after frame, trade after trade, side after side."""
    for frame in frames:
        with transaction.atomic():
            for trade in frame.trades:
                _fill(trade, trade.buyer, "BUY")
                _fill(trade, trade.seller, "SELL")


def _fill(trade: Trade, address: str, side: positions.Side) -> None:
    trader, _ = Trader.objects.get_or_create(address=address, defaults={"first_seen_at": utc_now()})
    _count(trader, trade, from_ms(trade.time_ms).date(), is_taker=trade.side is Side(side))
    held = Position.objects.select_for_update().filter(trader=trader, coin=trade.coin).first()
    before = positions.Position(trade.coin)
    if held is not None:
        before = positions.Position(trade.coin, held.size, held.entry_price)
    after, changes = positions.apply(before, Fill(trade.coin, side, trade.price, trade.size))
    if held is None:
        held = Position(trader=trader, coin=trade.coin)
    held.size, held.entry_price = after.size, after.entry_price
    if after.size:
        held.save()
    else:
        held.delete()
    for change in changes:
        _append(trader, trade, change)


def _count(trader: Trader, trade: Trade, day: date, *, is_taker: bool) -> None:
    volume = trade.price * trade.size
    row, _ = TraderDay.objects.get_or_create(trader=trader, day=day)
    row.volume_usd += volume
    row.taker_volume_usd += volume if is_taker else 0
    row.fills += 1
    row.save()


def _append(trader: Trader, trade: Trade, change: Change) -> None:
    EventHead.objects.update(head=F("head") + 1)
    PositionEvent.objects.create(
        id=EventHead.objects.values_list("head", flat=True).get(),
        created_at=utc_now(),
        trader_id=trader.pk,
        trader_address=trader.address,
        kind=change.kind,
        coin=change.coin,
        side=change.side,
        size_before=change.size_before,
        size_after=change.size_after,
        price=change.price,
        source="feed",
        exchange_time_ms=trade.time_ms,
    )
