"""One web process, 1,000 and 5,000 browsers: deliveries per second of its CPU, and stuck clients.

Beside it one Redis subscription for each browser, as the classic design has it.
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass

import redis

from bench.measure import Promise
from bench.pushing import CLASSIC, OURS, PATH, Browsers, WebProcess, browsers, commit, web
from bench.subscriptions import CHANNEL
from traders.models import EventHead
from web.tail import RING

BURST = 20
ROUNDS = 6  # the first is dropped
PACED = 20
PACED_SECONDS = 0.15
WITHIN_SECONDS = 60
BATCH = '{"type":"subscribe","batch":true}'
STUCK, HEALTHY = 100, 50
STUCK_BYTES = 64 * 1024 * 1024
FLOOD, FLOOD_SIZE, FLOOD_PAUSE_SECONDS = 200, 5, 0.025
FILL, STUCK_AFTER = 500, 2_000  # 8 MB for each: more than the kernel keeps for it
PADDED = {"padding": "x" * 4000}


@dataclass(frozen=True, slots=True)
class Result:
    """CPU seconds of the server for one delivery: bursts of 20, and one event each 150 ms."""

    burst: list[float]
    paced: float
    wall: float  # deliveries per second of wall time, in bursts
    kib: float  # of memory for each socket

    @property
    def per_core(self) -> float:
        """Deliveries in a second of CPU, at the median."""
        return 1 / statistics.median(self.burst)


def ours(count: int) -> None:
    """Commit a burst."""
    commit(count)


def classic(count: int) -> None:
    """Publish a burst of frames of the same size, each for all subscriptions."""
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    frame = '{"type":"trade_event","data":{"id":1,"trader_address":"%s"}}' % ("x" * 380)
    with client.pipeline(transaction=False) as pipe:
        for _ in range(count):
            pipe.publish(CHANNEL, frame)
        pipe.execute()
    client.close()


def measure(name: str, sockets: int, *, message: str = "") -> Result:
    """Serve bursts, then single events, to a fresh server's browsers."""
    application, write = (CLASSIC, classic) if name.startswith("classic") else (OURS, ours)
    with web(application) as server:
        with browsers(server.url, 1, message):  # whatever is loaded once
            time.sleep(1)
        before = server.resident_bytes()
        with browsers(server.url, sockets, message) as clients:
            time.sleep(1.5)
            kib = (server.resident_bytes() - before) / sockets / 1024
            bursts, walls = [], []
            for _ in range(ROUNDS):
                cpu, began_at = server.cpu_seconds(), time.perf_counter()
                clients.say(f"count {BURST * sockets} {WITHIN_SECONDS}")
                write(BURST)
                _check(clients.answer(), BURST * sockets)
                walls.append(time.perf_counter() - began_at)
                bursts.append((server.cpu_seconds() - cpu) / (BURST * sockets))
                time.sleep(0.2)
            cpu = server.cpu_seconds()
            clients.say(f"count {PACED * sockets} {WITHIN_SECONDS}")
            for _ in range(PACED):
                write(1)
                time.sleep(PACED_SECONDS)
            _check(clients.answer(), PACED * sockets)
            paced = (server.cpu_seconds() - cpu) / (PACED * sockets)
    wall = BURST * sockets / statistics.median(walls[1:])
    result = Result(bursts[1:], paced, wall, kib)
    middle = statistics.median(result.burst)
    print(
        f"{name:40}{result.per_core:14,.0f}{middle * 1e6:11.2f}{paced * 1e6:11.2f}{wall:14,.0f}"
        f"{kib:9.1f}   {min(result.burst) / middle:.2f}..{max(result.burst) / middle:.2f}",
        flush=True,
    )
    return result


def _check(counted: int, wanted: int) -> None:
    if counted != wanted:
        raise SystemExit(f"{counted} of {wanted} deliveries: void")


def stuck() -> tuple[float, float, float]:
    """Return what 100 stuck sockets cost in memory, and the others' p99 without and with them."""
    with web(OURS) as server, browsers(server.url, HEALTHY) as clients:
        _fill(clients, 2 * RING)  # the ring takes no more memory from now on
        alone, before = _flood(server, clients)
        with browsers(server.url, STUCK, stuck=True):
            _fill(clients, STUCK_AFTER, **PADDED)
            beside, after = _flood(server, clients)
    return after - before, alone, beside


def _fill(clients: Browsers, events: int, **details: str) -> None:
    """Commit so many events and wait until the browsers that read have them."""
    clients.say(f"count {events * HEALTHY} {WITHIN_SECONDS}")
    for _ in range(0, events, FILL):
        commit(FILL, **details)
    _check(clients.answer(), events * HEALTHY)


def _flood(server: WebProcess, clients: Browsers) -> tuple[float, float]:
    """Commit 1,000 events in 5 s; return the p99 of their latency and the most memory used."""
    most = 0
    committed = {}
    clients.say(f"times {FLOOD * FLOOD_SIZE * HEALTHY} {WITHIN_SECONDS}")
    for _ in range(FLOOD):
        committed[commit(FLOOD_SIZE)] = time.monotonic()
        most = max(most, server.resident_bytes())
        time.sleep(FLOOD_PAUSE_SECONDS)
    times = clients.answer()
    found = [at - committed[head] for head in committed for at in times[str(head)]]
    _check(len(found), FLOOD * HEALTHY)
    return statistics.quantiles(found, n=100)[-1], most


def bench() -> list[Promise]:
    """Print the comparison; return what was promised of it."""
    EventHead.objects.get_or_create(pk=1)
    heads = ("deliveries/CPU s", "us burst", "us paced", "wall/s", "KiB each")
    print(f"{PATH:40}" + "{:>14}{:>11}{:>11}{:>14}{:>9}".format(*heads) + "   min..max")
    measure("classic: a subscription each, 1,000", 1000)
    alone = measure("one by one, 1,000", 1000)
    many = measure("one by one, 5,000", 5000)
    batch = measure("batches, 1,000", 1000, message=BATCH)
    memory, without, beside = stuck()
    return [
        _promise("deliveries per core at 1,000 sockets", alone.per_core, 100_000),
        _promise("deliveries per core at 5,000 sockets", many.per_core, 80_000),
        _promise("deliveries per core, coalesced", batch.per_core, 400_000),
        Promise(
            f"{STUCK} stuck sockets cost at most 64 MB and nobody else's latency",
            f"{memory / 1e6:.1f} MB; p99 of the others {without * 1e3:.0f} ms without them and"
            f" {beside * 1e3:.0f} ms beside them",
            memory <= STUCK_BYTES and beside <= max(0.1, 2 * without),
        ),
    ]


def _promise(text: str, measured: float, promised: int) -> Promise:
    return Promise(f"{text} >= {promised:,}", f"{measured:,.0f}", measured >= promised)
