"""Runs the stream process beside a simulated exchange: in a thread, or as a real process."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

from django.db import connection

from discovery.process import Discovery
from hlcopy.supervisor.children import popen_options
from simulator import Simulator, SimulatorConfig
from simulator.wire import Block
from traders.models import FeedSocket, Trader

CHECKOUT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 20


def market(**changes: Any) -> SimulatorConfig:
    """A small market that stands still unless told."""
    settings: dict[str, Any] = {
        "seed": 5,
        "traders": 20,
        "warmup_trades": 120,
        "coins": ("BTC", "ETH", "xyz:TSLA", "PURR/USDC"),
    }
    return SimulatorConfig(**(settings | changes))


def address(number: int) -> str:
    """An address that the simulated market does not have of its own."""
    return f"0x{'ab' * 12}{number:016x}"


def users(*blocks: Block) -> set[str]:
    """Everybody who traded in the blocks."""
    return {user for block in blocks for trade in block.trades for user in trade.users}


def burst(sim: Simulator, first: int, count: int) -> set[str]:
    """Let new addresses trade as fast as it goes; return everybody who did."""
    return users(*(sim.trade(address(first + n), "BTC", "0.01", parts=2) for n in range(count)))


def until(met: Callable[[], object], what: str = "") -> None:
    """Wait for a condition; fail with the feed's state after 20 s."""
    give_up_at = time.monotonic() + WAIT_SECONDS
    while not met():
        if time.monotonic() > give_up_at:
            raise AssertionError(f"never came: {what} {list(FeedSocket.objects.values())}")
        time.sleep(0.01)


def known(addresses: set[str]) -> bool:
    """Whether every one of the addresses is a trader, once."""
    found = Trader.objects.filter(address__in=addresses).count()
    assert found <= len(addresses)
    return found == len(addresses)


def covering(*coins: str, sockets: int = 2) -> bool:
    """Whether so many connected sockets carry exactly these coins."""
    rows = FeedSocket.objects.filter(connected=True)
    return [sorted(row.coins) for row in rows] == [sorted(coins)] * sockets


@contextmanager
def discovering(
    sim: Simulator, coins: tuple[str, ...] = ("all",), **more: Any
) -> Iterator[Discovery]:
    """Run the stream process in a thread of this one until the end of the block."""
    settings: dict[str, Any] = {"stagger_seconds": 0.05, **more}
    started: list[Discovery] = []
    ready = threading.Event()
    ending: list[Callable[[], object]] = []
    failures: list[BaseException] = []

    async def live() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        ending.append(partial(loop.call_soon_threadsafe, stop.set))
        started.append(Discovery(url=sim.ws_url, coins=coins, sockets=2, **settings))
        ready.set()
        await started[0].run(stop)

    def run() -> None:
        try:
            asyncio.run(live())
        except BaseException as failure:  # noqa: BLE001 (raised below)
            failures.append(failure)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(5)
    try:
        yield started[0]
    finally:
        for end in ending:
            end()
        thread.join(10)
        assert not thread.is_alive()
        if failures:
            raise failures[0]


class Command:
    """`manage.py rundiscovery` on the tests' database; a context manager that leaves nothing."""

    def __init__(self, log: Path, url: str, *options: str, database_port: int = 0) -> None:
        """Start it; `database_port` leads to PostgreSQL another way."""
        database = connection.settings_dict
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "rundiscovery", *options],
                cwd=CHECKOUT,
                env={
                    **os.environ,
                    "DATABASE_URL": f"postgres://{database['USER']}:{database['PASSWORD']}@"
                    f"{database['HOST']}:{database_port or database['PORT']}/{database['NAME']}",
                    "DJANGO_SETTINGS_MODULE": "tests.settings",
                    "HYPERLIQUID_WS_URL": url,
                },
                stdout=output,
                stderr=output,
                **popen_options(death_signal=signal.SIGKILL),
            )

    def __enter__(self) -> Self:
        """It runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill what still runs."""
        self.kill()

    @property
    def output(self) -> str:
        """What it has written."""
        return self._log.read_text()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(5)

    def end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Signal it and wait; return the seconds that it took."""
        begun = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        return time.monotonic() - begun
