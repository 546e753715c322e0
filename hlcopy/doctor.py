"""What `manage.py doctor` looks at: this machine, and the exchange on first contact.

Every check returns findings and raises nothing. The questions of `OPEN_QUESTIONS` are those that no
published page answers; a check that answers one names it.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import redis
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from exchange.errors import ExchangeError
from exchange.info import InfoClient
from exchange.shared_budget import SharedBudget
from exchange.stream import Received, Stream
from exchange.subscriptions import Subscription
from exchange.wire import TradesFrame
from hlcopy.clock import now_ms

State = Literal["ok", "warn", "fail"]
LEAST_FREE_BYTES = 1_000_000_000
# The exchange's state time is one block old at most; more than this is a wrong clock.
MOST_SKEW_MS = 2_000
PROBED_COIN = "BTC"
UNKNOWN_COIN = "NOSUCHCOIN"
OPEN_QUESTIONS = (
    "Are ADL, backstop-liquidation and settlement fills in the trade feed? Record a bad day.",
    "How deep is the replay after a subscribe, and in which order? (checked below)",
    "What does a 429 look like, and does the allowance refill continuously? Watch the log's 429s.",
    "Do info requests posted over the WebSocket spend REST weight? hlcopy sends none.",
    "How many rows has recentTrades? hlcopy does not ask for it.",
    "What is the answer to a subscription for an unknown coin? (checked below)",
    "Do userFills include TWAP slices today? hlcopy does not ask for them yet.",
    "What shape has allPerpMetas? hlcopy asks meta for each dex instead.",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    name: str
    state: State
    detail: str


def machine() -> list[Finding]:
    """Look at the database, its migrations, Redis and the disk."""
    return [_database(), _redis(), _disk(Path(settings.DATA_DIRECTORY))]


def _database() -> Finding:
    """Connect, and count the migrations that are missing."""
    try:
        connection.ensure_connection()
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as failure:
        return Finding("PostgreSQL", "fail", f"not reachable: {_one_line(failure)}")
    if missing:
        return Finding(
            "PostgreSQL", "fail", f"{len(missing)} migrations missing: manage.py migrate"
        )
    version, _ = connection.get_database_version()
    return Finding("PostgreSQL", "ok", f"version {version}, migrated")


def _redis() -> Finding:
    """Ping, and refuse a server that evicts: it would drop queued jobs."""
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=3, socket_connect_timeout=3)
    try:
        policy = client.info("memory").get("maxmemory_policy", "")
    except redis.RedisError as failure:
        return Finding("Redis", "fail", f"not reachable: {_one_line(failure)}")
    finally:
        client.close()
    if policy != "noeviction":
        return Finding("Redis", "warn", f"maxmemory-policy is {policy}: queued jobs may be dropped")
    return Finding("Redis", "ok", "reachable, evicts nothing")


def _disk(data: Path) -> Finding:
    """Look at the space where the embedded services keep their data."""
    present = next(folder for folder in (data, *data.parents) if folder.exists())
    free = shutil.disk_usage(present).free
    state: State = "ok" if free >= LEAST_FREE_BYTES else "warn"
    return Finding("Disk", state, f"{free / 1e9:.1f} GB free")


async def exchange(seconds: float) -> list[Finding]:
    """Ask `/info` (weight 22) and listen to the feed for up to `seconds`."""
    configuration = settings.CONFIGURATION
    budget = SharedBudget(
        settings.REDIS_URL, per_minute=configuration.hyperliquid_weight_per_minute
    )
    async with (
        budget,
        InfoClient(configuration.hyperliquid_api_url, budget=budget) as info,
    ):
        asked = await _info(info, configuration.hyperliquid_coins)
    return asked + await _feed(configuration.hyperliquid_ws_url, seconds)


async def _info(info: InfoClient, wishes: Iterable[str]) -> list[Finding]:
    """Compare the clocks, and the configured coins with the listed ones."""
    try:
        async with asyncio.timeout(90):  # the budget may be closed for 65 s after a start of Redis
            skew_ms = now_ms() - (await info.exchange_status()).time_ms
            meta = await info.meta()
    except (ExchangeError, TimeoutError) as failure:
        return [Finding("Exchange, /info", "fail", _one_line(failure))]
    listed = {coin.name for coin in meta if not coin.is_delisted}
    gone = sorted(
        wish for wish in wishes if wish != "all" and ":" not in wish and wish not in listed
    )
    clock: State = "ok" if abs(skew_ms) <= MOST_SKEW_MS else "warn"
    coins: State = "warn" if gone else "ok"
    return [
        Finding("Exchange, /info", "ok", "answers"),
        Finding("Clock", clock, f"{skew_ms} ms ahead of the exchange's state time"),
        Finding(
            "Coins",
            coins,
            f"{len(listed)} listed, {len(meta) - len(listed)} delisted"
            + (f"; HYPERLIQUID_COINS names unknown ones: {', '.join(gone)}" if gone else ""),
        ),
    ]


async def _feed(url: str, seconds: float) -> list[Finding]:
    """Subscribe to one busy and one unknown coin, and see what comes."""
    wanted = [Subscription("trades", coin=coin) for coin in (PROBED_COIN, UNKNOWN_COIN)]
    frames: list[Received] = []
    async with Stream(url, wanted=wanted) as stream:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for received in stream:
                    frames.append(received)  # noqa: PERF401 (the time-out must not lose them)
        state, refused, bad = stream.state, stream.subscriptions.refused, stream.counts
    if not state.connected:
        return [Finding("Exchange, feed", "fail", state.last_error or "no connection")]
    trades = [received for received in frames if isinstance(received.frame, TradesFrame)]
    live = sum(not received.replay for received in trades)
    unknown = "; ".join(refused.values()) or "no answer"
    return [
        Finding("Exchange, feed", "ok", f"connected; {bad.bad_frames + bad.bad_trades} bad"),
        _replay([received for received in trades if received.replay]),
        Finding(
            "Live trades",
            "ok" if live else "warn",
            f"{live} frames of {PROBED_COIN} in {seconds:.0f} s",
        ),
        Finding("Unknown coin", "ok" if refused else "warn", unknown),
    ]


def _replay(frames: list[Received]) -> Finding:
    """Say how deep the replay of the probed coin is, and whether it is oldest first."""
    for received in frames:
        if isinstance(received.frame, TradesFrame) and received.frame.coin == PROBED_COIN:
            times = [trade.time_ms for trade in received.frame.trades]
            order = "oldest first" if times == sorted(times) else "NOT oldest first"
            state: State = "ok" if order == "oldest first" and len(times) == 30 else "warn"
            return Finding(
                "Replay", state, f"{len(times)} trades, {order} (30, oldest first known)"
            )
    return Finding("Replay", "warn", f"no replay of {PROBED_COIN} came")


def _one_line(failure: BaseException) -> str:
    """Return an error's text on one line, with its kind where it has no text."""
    return " ".join(str(failure).split())[:300] or type(failure).__name__
