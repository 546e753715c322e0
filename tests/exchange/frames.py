"""Frames and replies written after the published schema, for the tests of ``exchange``."""

from __future__ import annotations

import json
from typing import Any

BUYER = "0x" + "b1" * 20
SELLER = "0x" + "51" * 20
TIME_MS = 1_790_000_000_123


def trade(**changes: Any) -> dict[str, Any]:
    """One trade as the exchange sends it, with ``changes``."""
    return {
        "coin": "BTC",
        "side": "A",
        "px": "65001.0",
        "sz": "0.0125",
        "time": TIME_MS,
        "hash": "0x" + "ab" * 32,
        "tid": 412345678901234,
        "users": [BUYER, SELLER],
    } | changes


def trades(*rows: Any) -> bytes:
    """A trades frame."""
    return json.dumps({"channel": "trades", "data": rows}).encode()


def position(**changes: Any) -> dict[str, Any]:
    """One position of a ``clearinghouseState``, with ``changes``."""
    return {
        "coin": "BTC",
        "szi": "-0.01",
        "entryPx": "65000.0",
        "positionValue": "650.0",
        "unrealizedPnl": "-1.2",
        "returnOnEquity": "-0.018",
        "liquidationPx": "158000.1",
        "marginUsed": "65.0",
        "maxLeverage": 40,
        "leverage": {"type": "cross", "value": 10},
        "cumFunding": {"allTime": "0.1", "sinceOpen": "0.4", "sinceChange": "0.0"},
    } | changes


def account(*positions: dict[str, Any], **changes: Any) -> bytes:
    """A ``clearinghouseState`` reply."""
    summary = {
        "accountValue": "1000.5",
        "totalNtlPos": "650.0",
        "totalRawUsd": "350.5",
        "totalMarginUsed": "65.0",
    }
    reply = {
        "marginSummary": summary,
        "crossMarginSummary": summary,
        "crossMaintenanceMarginUsed": "8.1",
        "withdrawable": "935.5",
        "time": TIME_MS,
        "assetPositions": [{"type": "oneWay", "position": row} for row in positions],
    }
    return json.dumps(reply | changes).encode()
