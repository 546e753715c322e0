"""An event as every client meets it, over HTTP and over the WebSocket alike (pure)."""

from __future__ import annotations

from datetime import datetime
from decimal import Context, Decimal
from typing import Any

from msgspec import Struct

from hlcopy.decimals import plain

# What `publish` takes, in this order, of a row of the event log.
COLUMNS = (
    "id",
    "trader_id",
    "trader_address",
    "created_at",
    "kind",
    "coin",
    "side",
    "size_before",
    "size_after",
    "price",
    "source",
    "stale",
    "replayed",
    "exchange_time_ms",
    "details",
)
# Two columns of 38 digits multiply to 76: no rounding.
EXACT = Context(prec=80)


class PublishedEvent(Struct, frozen=True):
    """One change of one position; sizes are signed, decimals are plain strings."""

    id: int
    trader_id: int
    trader_address: str
    timestamp: datetime
    event_type: str
    coin: str
    side: str
    size_before: str
    size_after: str
    price: str | None
    notional: str | None  # of what changed hands, in the quote currency; null without a price
    source: str
    stale: bool  # trades of the coin may have been missed before this one
    replayed: bool  # old news: the trade was made long before it came
    exchange_time_ms: int
    details: dict[str, Any]


def publish(row: tuple[Any, ...]) -> PublishedEvent:
    """Turn one row of the event log, its columns as in COLUMNS, into what clients get."""
    (
        number,
        trader_id,
        address,
        created_at,
        kind,
        coin,
        side,
        before,
        after,
        price,
        source,
        stale,
        replayed,
        exchange_time_ms,
        details,
    ) = row
    return PublishedEvent(
        id=number,
        trader_id=trader_id,
        trader_address=address,
        timestamp=created_at,
        event_type=kind,
        coin=coin,
        side=side,
        size_before=plain(before),
        size_after=plain(after),
        price=None if price is None else plain(price),
        notional=None if price is None else plain(changed_notional(before, after, price)),
        source=source,
        stale=stale,
        replayed=replayed,
        exchange_time_ms=exchange_time_ms,
        details=details,
    )


def changed_notional(before: Decimal, after: Decimal, price: Decimal) -> Decimal:
    """Return the worth of what changed hands: |size after - size before| * price, exactly."""
    return EXACT.multiply(EXACT.abs(EXACT.subtract(after, before)), price)
