"""Every setting of a simulated exchange, with its default."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """What one IP address may use; the defaults are the exchange's of 2026."""

    weight_per_minute: int = 1200
    connections: int = 10
    new_connections_per_minute: int = 30
    subscriptions: int = 1000
    messages_per_minute: int = 2000
    users: int = 10
    idle_seconds: float = 60.0


class SimulatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A simulated exchange; equal configurations with `start_ms` give equal blocks, byte for byte.

    `start_ms` is the market's time at the end of the warm-up (None: now). `speed` makes prices
    move and funding fall due that much faster than trade times tell; `volatility` scales prices'
    movements alone. `history_per_account` bounds the fills and states kept of one account.
    """

    seed: int = 1
    traders: int = 200
    market_makers: int = 12
    trades_per_second: float = 40.0
    start_ms: int | None = None
    warmup_seconds: float = 7 * 86_400.0
    warmup_trades: int = 4_000
    speed: float = 1.0
    volatility: float = 1.0
    funding_interval_seconds: float = 3_600.0
    zero_hash_share: float = 0.16
    unified_share: float = 0.05
    history_per_account: int = 400
    coins: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 0
    limits: Limits = Limits()
