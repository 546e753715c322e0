"""From the exchange's frame to the browser's: every process is the real one but the exchange."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connection

from bench.measure import Promise
from bench.pushing import OURS, browsers, web
from hlcopy.clock import utc_now
from simulator import Simulator, SimulatorConfig
from traders import sightings
from traders.models import EventHead, FeedSocket, PositionEvent
from traders.writing import writing

SOCKETS, TRADES_PER_SECOND, SECONDS = 200, 100, 20
P50_SECONDS, P99_SECONDS = 0.025, 0.1
START_SECONDS = 5.0
COINS = ("BTC", "ETH", "SOL", "HYPE")
TRADERS = [f"0x{'be' * 16}{number:08x}" for number in range(500)]
# A base long before, so that every fill is an event.
BASES = """
INSERT INTO traders_ledger (trader_id, floors, bases, doubts, emptied)
SELECT id, '{"": 1600000000000}', '{}', '{}', '{}' FROM traders_trader WHERE address = ANY(%s)
ON CONFLICT (trader_id) DO NOTHING
"""
WITHIN_SECONDS = 60


@contextmanager
def _discovery(simulator: Simulator) -> Iterator[float]:
    """Run `manage.py rundiscovery`; yield the seconds to its first committed row of coverage."""
    FeedSocket.objects.all().delete()
    began_at = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "rundiscovery"],
        env={
            **os.environ,
            "HYPERLIQUID_WS_URL": simulator.ws_url,
            "HYPERLIQUID_API_URL": simulator.api_url,
            "HYPERLIQUID_COINS": ",".join(COINS),
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        _until(lambda: _carried() >= 1)
        seconds = time.monotonic() - began_at
        _until(lambda: _carried() == 2)
        yield seconds
    finally:
        process.terminate()
        process.wait(30)


def _carried() -> int:
    """Return how many sockets' rows say that every coin is carried."""
    rows = FeedSocket.objects.filter(connected=True).values_list("coins", flat=True)
    return sum(set(coins) == set(COINS) for coins in rows)


def _until(met: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + WITHIN_SECONDS
    while not met():
        if time.monotonic() > give_up_at:
            raise SystemExit("the stream process does not carry the coins")
        time.sleep(0.02)


def _trade(simulator: Simulator) -> dict[tuple[str, int], float]:
    """Trade at a steady pace; return when each block, (coin, exchange time), was asked for."""
    begun = {}
    start = time.monotonic()
    for number in range(TRADES_PER_SECOND * SECONDS):
        time.sleep(max(0.0, start + number / TRADES_PER_SECOND - time.monotonic()))
        taker, maker = TRADERS[number * 7 % 500], TRADERS[(number * 7 + 1 + number % 400) % 500]
        asked_at = time.monotonic()
        size = "0.5" if number % 3 else "-0.7"
        block = simulator.trade(taker, COINS[number % 4], size, counterparty=maker)
        begun[block.coin, block.time_ms] = asked_at
    return begun


def bench(*, large: bool = False) -> list[Promise]:
    """Print latencies and the time of the start; return what was promised of both."""
    EventHead.objects.get_or_create(pk=1)
    with writing():
        sightings.record({(address, "") for address in TRADERS}, utc_now())
        with connection.cursor() as cursor:
            cursor.execute(BASES, [TRADERS])
    book = "beside 1,000,000 traders and 3,000,000 positions" if large else "in a small book"
    # Another seed than the loaded traders' addresses have.
    config = SimulatorConfig(seed=77, traders=20, warmup_trades=200, coins=COINS)
    with (
        Simulator(config) as simulator,
        _discovery(simulator) as start_seconds,
        web(OURS) as server,
        browsers(server.url, SOCKETS) as clients,
    ):
        head = EventHead.objects.get().head
        # Connections and caches are warm from the first trades on.
        for coin in COINS:
            simulator.trade(TRADERS[0], coin, "1", counterparty=TRADERS[1])
        _until(lambda: EventHead.objects.get().head >= head + 2 * len(COINS))
        time.sleep(1)
        head = EventHead.objects.get().head
        # How many events it will be nobody knows: a flip is two.
        clients.say(f"times {10**9} {SECONDS + 5}")
        cpu, began_at = server.cpu_seconds(), time.monotonic()
        begun = _trade(simulator)
        share = (server.cpu_seconds() - cpu) / (time.monotonic() - began_at)
        times = clients.answer()
    events, found = _latencies(begun, times, head)
    if len(found) != events * SOCKETS or events < 2 * len(begun):
        raise SystemExit(f"{len(found):,} of {events * SOCKETS:,} deliveries: void")
    cuts = statistics.quantiles(found, n=100)
    print(
        f"{book}: {len(begun):,} trades, {events:,} events to {SOCKETS} sockets: p50"
        f" {cuts[49] * 1e3:.1f} ms, p90 {cuts[89] * 1e3:.1f}, p99 {cuts[98] * 1e3:.1f}, worst"
        f" {max(found) * 1e3:.1f}; the web process used {share:.0%} of a core; discovery covered"
        f" {start_seconds:.1f} s after its start"
    )
    return [
        Promise(
            f"frame in to browser frame out, {SOCKETS} sockets, {TRADES_PER_SECOND} trades/s,"
            f" {book}: p50 <= 25 ms, p99 <= 100 ms",
            f"{cuts[49] * 1e3:.1f} ms, {cuts[98] * 1e3:.1f} ms",
            cuts[49] <= P50_SECONDS and cuts[98] <= P99_SECONDS,
        ),
        Promise(
            f"discovery covers the feed {START_SECONDS:.0f} s after its start, {book}",
            f"{start_seconds:.1f} s",
            start_seconds <= START_SECONDS,
        ),
    ]


def _latencies(
    begun: dict[tuple[str, int], float], times: dict[str, list[float]], head: int
) -> tuple[int, list[float]]:
    """Return the number of events, and the seconds from trades to browsers' frames."""
    blocks = defaultdict(list)
    events = PositionEvent.objects.filter(id__gt=head)
    for number, coin, time_ms in events.values_list("id", "coin", "exchange_time_ms"):
        blocks[coin, time_ms].append(number)
    return sum(map(len, blocks.values())), [
        at - asked_at
        for block, asked_at in begun.items()
        for number in blocks[block]
        for at in times.get(str(number), [])
    ]
