"""What a source of the feed says of itself (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SocketReport:
    """What a socket says of itself; counts are since its process started.

    `coins` are the acknowledged subscriptions to trades, `newest_block_ms` is exchange time.
    `lost` are the coins that it carries no more, each with the newest block when it lost it.
    """

    name: str
    connected: bool
    since_at: datetime
    coins: list[str]
    newest_block_ms: int | None
    trades: int
    bad_frames: int
    reconnects: int
    last_error: str
    lost: dict[str, int] = field(default_factory=dict)
