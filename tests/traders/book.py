"""Rows of the book for tests: traders, positions, snapshots, events."""

from __future__ import annotations

from decimal import Decimal

from django.db.models import F

from hlcopy.clock import from_ms, utc_now
from traders import coverage
from traders.models import (
    AccountSnapshot,
    Coin,
    Correction,
    EventHead,
    FeedCursor,
    FeedGap,
    Ledger,
    Position,
    PositionEvent,
    Trader,
    WaitingFill,
)
from traders.socket_report import SocketReport

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


def add_coin(name: str, *, dex: str = "", **values: object) -> Coin:
    """List a coin."""
    defaults = {"size_decimals": 4, "updated_at": utc_now(), **values}
    return Coin.objects.create(name=name, dex=dex, **defaults)


def follow(
    *coins: str,
    until_ms: int | None,
    name: str = "host:1/0",
    connected: bool = True,
    lost: dict[str, int] | None = None,
) -> None:
    """Let a living socket carry the coins up to this block, as the stream process reports it."""
    socket = SocketReport(
        name=name,
        connected=connected,
        since_at=utc_now(),
        coins=list(coins),
        newest_block_ms=until_ms,
        trades=1,
        bad_frames=0,
        reconnects=0,
        last_error="",
        lost=lost or {},
    )
    coverage.report([socket])


def add_cursor(coin: str, *, gap_until_ms: int | None, **values: object) -> FeedCursor:
    """Let the feed have counted trades of a coin."""
    return FeedCursor.objects.create(coin=coin, gap_until_ms=gap_until_ms, **values)


def add_gap(coin: str, from_ms: int | None, to_ms: int, reason: str = "outage") -> FeedGap:
    """Let a coin have a gap, as its cursor knows too."""
    FeedCursor.objects.filter(coin=coin).update(gap_until_ms=to_ms)
    return FeedGap.objects.create(
        coin=coin, from_ms=from_ms, to_ms=to_ms, reason=reason, noted_at=utc_now()
    )


def add_waiting_fill(trader: Trader, coin: str, size: str = "1") -> WaitingFill:
    """Let a trader have traded a coin whose position is not known."""
    return WaitingFill.objects.create(
        trader_id=trader.pk,
        coin=coin,
        time_ms=STATE_MS,
        size=Decimal(size),
        price=Decimal(100),
        is_taker=True,
    )


def add_correction(trader: Trader, coin: str = "BTC", **values: object) -> Correction:
    """Let two snapshots have shown another position than the feed."""
    defaults = {
        "corrected_at": utc_now(),
        "state_time_ms": STATE_MS,
        "ledger_size": Decimal(1),
        "snapshot_size": Decimal("1.5"),
        "cause": "drift",
        **values,
    }
    return Correction.objects.create(trader=trader, coin=coin, **defaults)
