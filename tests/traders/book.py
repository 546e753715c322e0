"""Rows of the book for tests: traders, positions, snapshots, events."""

from __future__ import annotations

from decimal import Decimal

from django.db.models import F

from hlcopy.clock import from_ms, utc_now
from traders.models import AccountSnapshot, EventHead, Ledger, Position, PositionEvent, Trader

STATE_MS = 1_760_000_000_000


def address(number: int) -> str:
    """Return the address that ends with this number, in hex."""
    return f"0x{number:040x}"


def add_trader(number: int = 1, *, dexes: list[str] | None = None) -> Trader:
    """Add a trader who was seen and never tracked."""
    return Trader.objects.create(
        address=address(number), first_seen_at=utc_now(), dexes=dexes or [""]
    )


def add_snapshot(trader: Trader, value: str | None, *, dex: str = "", at_ms: int = STATE_MS):
    """Store one reply about the account and set the floor of its dex."""
    AccountSnapshot.objects.create(
        trader=trader,
        dex=dex,
        state_time_ms=at_ms,
        fetched_at=from_ms(at_ms),
        account_value=None if value is None else Decimal(value),
        total_notional=Decimal(0),
        margin_used=Decimal(0),
        positions=0,
        applied=True,
    )
    ledger, _ = Ledger.objects.get_or_create(trader=trader)
    ledger.floors[dex] = at_ms
    ledger.save()
    Trader.objects.filter(pk=trader.pk).update(last_tracked_at=from_ms(at_ms))


def add_position(trader: Trader, coin: str, size: str, **values: object) -> Position:
    """Give the trader a position as a snapshot wrote it."""
    defaults = {"entry_price": Decimal("100.50"), "as_of_ms": STATE_MS, **values}
    return Position.objects.create(trader=trader, coin=coin, size=Decimal(size), **defaults)


def add_events(trader: Trader, count: int = 1, **values: object) -> list[int]:
    """Append events to the log as its writer does: numbers from the head, in one transaction."""
    EventHead.objects.get_or_create(pk=1)
    EventHead.objects.update(head=F("head") + count)
    head = EventHead.objects.get().head
    defaults = {
        "trader_id": trader.pk,
        "trader_address": trader.address,
        "kind": "OPEN",
        "coin": "BTC",
        "side": "BUY",
        "size_before": Decimal(0),
        "size_after": Decimal("1.50"),
        "price": Decimal("60000.10"),
        "source": "snapshot",
        "exchange_time_ms": STATE_MS,
        **values,
    }
    ids = list(range(head - count + 1, head + 1))
    PositionEvent.objects.bulk_create(
        PositionEvent(id=number, created_at=utc_now(), **defaults) for number in ids
    )
    return ids
