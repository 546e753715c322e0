"""Rates and totals from counters that begin anew with their process (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

#: Samples further apart say nothing about a rate.
LONGEST_STEP_SECONDS = 60


class Counters(Struct, frozen=True, kw_only=True):
    """What was counted up to one sample; totals are since the first one."""

    at: datetime
    watching_since: datetime
    # Of each feed socket: (trades, reconnects) since its process began.
    sockets: dict[str, tuple[int, int]]
    trades_per_second: float | None = None
    last_trade_at: datetime | None = None  # when the count was seen to have grown
    reconnects_total: int = 0
    http_429: int | None = None  # since Redis began
    http_429_total: int = 0
    last_429_at: datetime | None = None


def advance(
    before: Counters | None,
    *,
    at: datetime,
    sockets: Mapping[str, tuple[int, int]],
    http_429: int | None,
) -> Counters:
    """Return the counters of the next sample.

    Every socket carries every coin, so the fastest one is the feed's rate. A socket or a Redis that
    is new has counted since it began; without an earlier sample nothing is known of that.
    """
    if before is None:
        return Counters(at=at, watching_since=at, sockets=dict(sockets), http_429=http_429)
    step = (at - before.at).total_seconds()
    if step <= 0:
        return before
    # Of each socket, what it has counted since the sample before; a new one since it began.
    counted = {
        name: [
            now - then for now, then in zip(counts, before.sockets.get(name, (0, 0)), strict=True)
        ]
        for name, counts in sockets.items()
    }
    rates = [trades / step for name, (trades, _) in counted.items() if name in before.sockets]
    known = before.http_429 or 0
    refused = 0 if http_429 is None else http_429 - known if http_429 >= known else http_429
    return Counters(
        at=at,
        watching_since=before.watching_since,
        sockets=dict(sockets),
        trades_per_second=max(rates) if rates and step <= LONGEST_STEP_SECONDS else None,
        last_trade_at=at
        if any(trades > 0 for trades, _ in counted.values())
        else before.last_trade_at,
        reconnects_total=before.reconnects_total + sum(max(0, new) for _, new in counted.values()),
        http_429=before.http_429 if http_429 is None else http_429,
        http_429_total=before.http_429_total + refused,
        last_429_at=at if refused else before.last_429_at,
    )


def encode(counters: Counters) -> dict[str, Any]:
    """Return the counters as JSON values."""
    return dict(msgspec.to_builtins(counters))


def decode(values: object) -> Counters:
    """Return the counters of `encode`."""
    return msgspec.convert(values, Counters)
