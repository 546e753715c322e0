"""The one place that asks for the time of day."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    """Return the aware UTC time of this machine."""
    return datetime.now(UTC)


def now_ms() -> int:
    """Return this machine's time in milliseconds since 1970, to compare with exchange times."""
    return time.time_ns() // 1_000_000


def to_ms(moment: datetime) -> int:
    """Return an aware time as exchange milliseconds since 1970."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_ms(milliseconds: int) -> datetime:
    """Return the aware UTC datetime of an exchange time in milliseconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
