"""The cached leaderboard over HTTP, beside FastAPI that answers the same bytes from Redis."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

import redis
from django.conf import settings

from bench.fastapi_board import KEY
from bench.measure import Promise, cpu_of_children
from hlcopy.clock import utc_now
from hlcopy.configuration import PRESETS
from hlcopy.embedded.state import random_port
from leaderboard import cache, ranking
from traders.models import Trader, TraderDay

PATH = "/api/v1/leaderboard"
CLIENTS, REQUESTS, ROUNDS = 16, 4000, 5
PROMISED = 5
PEOPLE = 300


@dataclass(slots=True)
class Served:
    """One server and what was measured of it."""

    name: str
    port: int
    pid: int
    cpu: list[float] = field(default_factory=list)  # seconds for a request
    wall: list[float] = field(default_factory=list)
    tag: str = ""  # asks with it: unchanged


def bench() -> list[Promise]:
    """Print the comparison; return what was promised of it."""
    load()
    with serving("hlcopy.asgi:application") as ours, serving("bench.fastapi_board:app") as theirs:
        with urllib.request.urlopen(f"http://127.0.0.1:{ours[0]}{PATH}") as answer:
            body, tag = answer.read(), answer.headers["ETag"]
        redis.Redis.from_url(settings.REDIS_URL).set(KEY, body)
        options = [
            Served("FastAPI, bytes from Redis", *theirs),
            Served("hlcopy", *ours),
            Served("hlcopy, unchanged (304)", *ours, tag=tag),
        ]
        for number in range(ROUNDS + 1):
            random.shuffle(options)
            for option in options:
                measure(option, keep=number > 0)
    options.sort(key=lambda option: -statistics.median(option.cpu))
    print(f"{len(body):,} bytes, {CLIENTS} connections, {ROUNDS} rounds of {REQUESTS:,} requests")
    for option in options:
        cpu, wall = statistics.median(option.cpu), statistics.median(option.wall)
        spread = f"{min(option.cpu) / cpu:.2f}..{max(option.cpu) / cpu:.2f}"
        print(f"{option.name:28}{cpu * 1e6:10.1f} us CPU each{1 / wall:12,.0f}/s  {spread}")
    middle = {option.name: statistics.median(option.cpu) for option in options}
    ratio = middle["FastAPI, bytes from Redis"] / middle["hlcopy"]
    return [
        Promise(
            f"cached leaderboard at most 1/{PROMISED} of FastAPI's CPU serving bytes from Redis",
            f"1/{ratio:.1f}, {middle['hlcopy'] * 1e6:.0f} us",
            ratio >= PROMISED,
        )
    ]


def load() -> None:
    """Publish a board of people who have traded today."""
    now = utc_now()
    people = Trader.objects.bulk_create(
        Trader(
            address=f"0xbb{number:038x}",
            first_seen_at=now - timedelta(days=number),
            last_tracked_at=now,
        )
        for number in range(1, PEOPLE + 1)
    )
    # By the models: whatever is not named here has its default.
    TraderDay.objects.bulk_create(
        TraderDay(trader=one, day=now.date(), **day(one)) for one in people
    )
    boards = ranking.publish(now, "classic", PRESETS["classic"])
    cache.published(max(board.pk for board in boards.values()))


def day(trader: Trader) -> dict[str, Any]:
    """Return what a trader did today: every trader something else, so that every row is."""
    return {
        "volume_usd": Decimal("1234.5") * trader.pk,
        "events": 9,
        "closed": 5,
        "wins": 3,
        "losses": 2,
        "snapshots": 2,
        "gross_profit": Decimal("99.5"),
        "gross_loss": Decimal("12.25"),
        "realised_gross": Decimal("87.25"),
        "fees": 3,
        "nav_open": 1,
        "nav_close": Decimal("1.1"),
        "nav_min": Decimal("0.95"),
        "nav_max": Decimal("1.2"),
    }


@contextmanager
def serving(application: str) -> Iterator[tuple[int, int]]:
    """Run one worker of uvicorn as the Procfile does; yield its port and process."""
    port = random_port()
    command = [sys.executable, "-m", "uvicorn", application, "--port", str(port)]
    command += ["--no-proxy-headers", "--no-access-log", "--log-level", "warning"]
    command += ["--lifespan", "off"]
    process = subprocess.Popen(command, env=os.environ | {"HOST": "127.0.0.1"})
    try:
        give_up_at = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/openapi.json").close()
            except urllib.error.HTTPError:
                break
            except OSError:
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.05)
            else:
                break
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def measure(option: Served, *, keep: bool) -> None:
    """Ask REQUESTS times over open connections."""
    clock = cpu_of_children(option.pid)
    cpu, wall = clock(), time.perf_counter()
    asyncio.run(ask(option))
    wall, cpu = time.perf_counter() - wall, clock() - cpu
    if keep:
        option.cpu.append(cpu / REQUESTS)
        option.wall.append(wall / REQUESTS)


async def ask(option: Served) -> None:
    """Let all clients ask, each one request after the other."""
    tag = f"If-None-Match: {option.tag}\r\n" if option.tag else ""
    request = (
        f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{option.port}\r\n"
        f"Accept: application/json\r\nUser-Agent: bench\r\n{tag}\r\n"
    ).encode()
    wanted = b"304" if option.tag else b"200"
    await asyncio.gather(
        *(client(option.port, request, wanted, REQUESTS // CLIENTS) for _ in range(CLIENTS))
    )


async def client(port: int, request: bytes, wanted: bytes, times: int) -> None:
    """Ask, and read every answer to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    for _ in range(times):
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.split()[1] == wanted, head
        _, found, rest = head.partition(b"content-length:")
        if found and wanted == b"200":
            await reader.readexactly(int(rest.split(b"\r\n")[0]))
    writer.close()
    await writer.wait_closed()
