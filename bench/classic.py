"""The measures that are published of the classic design, taken of hlcopy.

`python -m bench classic`. The classic figures were measured elsewhere, on two shared cores as well
(docs/comparison.md); they are printed beside ours, never compared to the millisecond.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

from asgiref.sync import async_to_sync
from django.db import connection
from websockets.asyncio.client import ClientConnection, connect

from bench.measure import Promise
from exchange.info import InfoClient
from hlcopy.clock import utc_now
from hlcopy.configuration import PRESETS
from hlcopy.embedded.state import random_port
from leaderboard import ranking
from simulator import Simulator, SimulatorConfig
from traders import sightings
from traders.models import PositionEvent, Trader, TraderDay
from traders.pass_limits import Limits
from traders.tracking import run_pass

BATCH = 50
BOARD_TRADERS = 5_000
BOARD_DAYS = 4
CLIENTS = 20
LEADER = "0x" + "1e" * 20
BARE_SECONDS = 61


@dataclass(frozen=True)
class _Permit:
    is_fresh: bool = True


class _NoLimit:
    """A budget that always has room: the rate limit is not what is measured here."""

    async def reserve(self, weight: int) -> _Permit:
        """Grant at once."""
        del weight
        return _Permit()

    async def settle(self, permit: _Permit, actual_weight: int) -> None:
        """Count nothing."""

    async def pause(self, seconds: float | None) -> float:
        """Never wait."""
        del seconds
        return 0.0


def bench() -> list[Promise]:
    """Print the table; return what is promised of it."""
    logging.disable(logging.INFO)  # a line for each pass would hide the table
    try:
        with Simulator(SimulatorConfig(traders=300, coins=("BTC", "ETH"))) as sim:
            kinds = _kinds_seen(sim)
            batch_seconds = _batch_seconds(sim)
        board_seconds = _board_seconds()
    finally:
        logging.disable(logging.NOTSET)
    health_seconds, join_seconds, joined = asyncio.run(_crowded())
    print(f"{'':52}{'classic':>22}{'hlcopy':>22}")
    for name, classic, ours in (
        ("kinds of change detected, of 5", "2", str(len(kinds))),
        (f"tracking a batch of {BATCH}, replies at once", "5.2 s", f"{batch_seconds:.2f} s"),
        (f"ranking {BOARD_TRADERS:,} traders", "3.2 s", f"{board_seconds:.2f} s"),
        (f"/health with {CLIENTS} idle listeners", "15 s", f"{health_seconds * 1000:.0f} ms"),
        (
            f"client number {CLIENTS + 1} is let in after",
            "90 s: it was not",
            f"{join_seconds * 1000:.0f} ms",
        ),
    ):
        print(f"{name:52}{classic:>22}{ours:>22}")
    return [
        Promise("every kind of change is detected", ", ".join(sorted(kinds)), len(kinds) == 5),
        Promise(
            f"{CLIENTS + 1} clients are served", f"{joined} of {CLIENTS + 1}", joined == CLIENTS + 1
        ),
    ]


def _kinds_seen(sim: Simulator) -> set[str]:
    """Let one trader open, add, reduce, flip and close, a pass after each; return what was seen.

    A flip is what a CLOSE and an OPEN of the other sign at the same exchange time are.
    """
    sightings.record({(LEADER, "")}, utc_now())
    seen: set[str] = set()
    for size in (None, "1", "1", "-1", "-2", "1"):
        if size is not None:
            sim.trade(LEADER, "ETH", Decimal(size))
        head = PositionEvent.objects.count()
        # A bare account is believed after a minute; the second look is also that at an empty one.
        for seconds in (6, 6 if size else BARE_SECONDS):
            sim.step(seconds=seconds)
            Trader.objects.update(last_tracked_at=None, retry_at=None)
            _pass(sim, weight=2 + 20)
        kinds = [event.kind for event in PositionEvent.objects.order_by("id")[head:]]
        seen.add("FLIP" if kinds == ["CLOSE", "OPEN"] else "+".join(kinds))
    return seen - {""}


def _batch_seconds(sim: Simulator) -> float:
    """Track 50 traders, of the simulator's own, in one batch; return the median of five passes."""
    Trader.objects.all().delete()
    sightings.record({(address, "") for address in sim.traders()[:BATCH]}, utc_now())
    taken = []
    for _ in range(5):
        sim.step(seconds=5)
        Trader.objects.update(last_tracked_at=None, retry_at=None)
        taken.append(_pass(sim, weight=2 * BATCH))
    return sorted(taken)[2]


def _pass(sim: Simulator, *, weight: int) -> float:
    """Run one pass without a rate limit; return its seconds."""

    async def run() -> None:
        async with InfoClient(sim.api_url, budget=_NoLimit()) as info:
            await run_pass(info, Limits(batch_size=BATCH, weight=weight, seconds=30))

    started = time.perf_counter()
    async_to_sync(run)()
    return time.perf_counter() - started


def _board_seconds() -> float:
    """Rank 5,000 traders with 20,000 day rows, all windows; return the seconds."""
    now = utc_now()
    sightings.record({(f"0x{uuid4().hex}{n:08x}", "") for n in range(BOARD_TRADERS)}, now)
    Trader.objects.update(last_tracked_at=now)
    TraderDay.objects.bulk_create(
        TraderDay(
            trader_id=trader_id,
            day=(now - timedelta(days=day)).date(),
            volume_usd=trader_id % 1000 + day,
            events=1,
            closed=2,
            wins=trader_id % 2,
            losses=1,
            gross_profit=trader_id % 7,
            gross_loss=1,
            snapshots=1,
        )
        for trader_id in Trader.objects.order_by("-id").values_list("id", flat=True)[:BOARD_TRADERS]
        for day in range(BOARD_DAYS)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    started = time.perf_counter()
    ranking.publish(now, "classic", PRESETS["classic"])
    return time.perf_counter() - started


async def _crowded() -> tuple[float, float, int]:
    """Hold 20 idle listeners; return /health's slowest answer, the next one's wait, who got in."""
    port = random_port()
    with _web(port):
        sockets: list[ClientConnection] = []
        waits: list[float] = []
        for _ in range(CLIENTS + 1):
            started = time.perf_counter()
            socket = await connect(f"ws://127.0.0.1:{port}/ws/v1/updates", proxy=None)
            if json.loads(await socket.recv())["type"] == "connection":
                sockets.append(socket)
            waits.append(time.perf_counter() - started)
        answers = []
        for _ in range(20):
            started = time.perf_counter()
            await asyncio.to_thread(_get, f"http://127.0.0.1:{port}/health")
            answers.append(time.perf_counter() - started)
        for socket in sockets:
            await socket.close()
    return max(answers), waits[-1], len(sockets)


@contextmanager
def _web(port: int) -> Iterator[None]:
    """Run the product's web process on a port."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "uvicorn", "hlcopy.asgi:application", "--port", str(port)),
            *("--lifespan", "off", "--log-level", "warning"),
        ],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "hlcopy.settings"},
    )
    try:
        give_up_at = time.monotonic() + 30
        while True:
            try:
                _get(f"http://127.0.0.1:{port}/health")
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > give_up_at:
                    raise
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def _get(url: str) -> bytes:
    """Return a page."""
    with urllib.request.urlopen(url, timeout=30) as reply:
        body: bytes = reply.read()
    return body
