"""How soon the feed is carried again, and how soon anybody is told that it is not.

What is measured is what a reader of PostgreSQL sees, by real processes and a simulated exchange.
Not measured here: how soon all is ready when PostgreSQL is back.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.measure import Promise
from hlcopy.supervisor.children import popen_options
from simulator import Simulator, SimulatorConfig
from simulator.faults import Faults
from traders.coverage import covered_coins
from traders.models import FeedSocket

PROCESSES = 3
SOCKETS = 2
OUTAGE_SECONDS = 10.0
#: Ways of being away, all of which reach the exchange and count there.
AWAY = {
    "refused": Faults(refuse_connections=True),
    "answered with 502": Faults(connect_status=502),
    "closed at once": Faults(close_connections=True),
}
CONNECTS_PER_MINUTE = 30


def until(met: Callable[[], object], seconds: float = 90) -> float:
    """Wait for a condition; return how long it took."""
    begun = time.monotonic()
    while not met():
        if time.monotonic() - begun > seconds:
            raise SystemExit(f"never came: {list(FeedSocket.objects.values())}")
        time.sleep(0.02)
    return time.monotonic() - begun


class Feed:
    """A simulated exchange and real stream processes that watch it."""

    def __init__(self, exchange: Simulator, processes: list[subprocess.Popen[bytes]]) -> None:
        """Wait until every socket carries every coin."""
        self.exchange = exchange
        self.processes = processes
        self.sockets = SOCKETS * len(processes)
        self._coins: set[str] = set()
        until(self._settled)

    def outage(self, faults: Faults, seconds: float) -> tuple[float, float]:
        """Be away; return the seconds from the return to all coins, and to all sockets."""
        coins = set(covered_coins())
        self.exchange.set_faults(faults)
        self.exchange.drop(1006)
        begun = time.monotonic()
        until(lambda: not covered_coins())
        time.sleep(max(0.0, begun + seconds - time.monotonic()))
        self.exchange.set_faults(Faults())
        back = time.monotonic()
        until(lambda: coins <= set(covered_coins()))
        covered = time.monotonic() - back
        until(self.is_whole)
        return covered, time.monotonic() - back

    def stall(self) -> float:
        """Fall silent on open connections; return the seconds until a gap is shown."""
        self.exchange.set_faults(Faults(half_open=True))
        seconds = until(lambda: not covered_coins())
        self.exchange.set_faults(Faults())
        until(self.is_whole)
        return seconds

    def kill(self) -> float:
        """Kill every process at once; return the seconds until a gap is shown."""
        for process in self.processes:
            process.kill()
        return until(lambda: not covered_coins())

    def is_whole(self) -> bool:
        """Whether every socket carries what any carries."""
        rows = list(FeedSocket.objects.filter(connected=True).values_list("coins", flat=True))
        return len(rows) == self.sockets and rows[0] != [] and rows == rows[:1] * len(rows)

    def _settled(self) -> bool:
        """Whether they all carry the same for two looks, the list of coins having been read."""
        coins = set(covered_coins())
        settled = bool(coins) and coins == self._coins and self.is_whole()
        self._coins = coins
        time.sleep(0.5)
        return settled


@contextmanager
def feed(processes: int, **more: Any) -> Iterator[Feed]:
    """Run an exchange, and so many `manage.py rundiscovery` on it."""
    with ExitStack() as stack:
        exchange = stack.enter_context(Simulator(SimulatorConfig(seed=3, **more)))
        exchange.run()
        environment = {**os.environ, "HYPERLIQUID_WS_URL": exchange.ws_url}
        started = []
        for _ in range(processes):
            process = subprocess.Popen(
                (sys.executable, "manage.py", "rundiscovery"),
                env=environment,
                cwd=Path(__file__).parents[1],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                **popen_options(death_signal=signal.SIGKILL),
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            started.append(process)
        yield Feed(exchange, started)


def bench() -> list[Promise]:
    """Run three processes through each way of being away, a stall and their death."""
    FeedSocket.objects.all().delete()
    with feed(PROCESSES, trades_per_second=10.0) as watched:
        slowest = 0.0
        for name, faults in AWAY.items():
            covered, whole = watched.outage(faults, OUTAGE_SECONDS)
            slowest = max(slowest, covered)
            print(f"  {name} for {OUTAGE_SECONDS:.0f} s: coins {covered:.1f} s, all {whole:.1f} s")
        most = watched.exchange.max_connects_in_any_60s()
        stalled = watched.stall()
        dead = watched.kill()
    return [
        Promise("feed stall seen <= 30 s", f"{stalled:.1f} s", stalled <= 30),
        Promise("gap shown <= 5 s", f"{dead:.1f} s after kill -9 of all", dead <= 5),
        Promise("reconnect <= 5 s after the exchange is back", f"{slowest:.1f} s", slowest <= 5),
        Promise(
            f"at most {CONNECTS_PER_MINUTE} new connections in any 60 s",
            f"{most}",
            most <= CONNECTS_PER_MINUTE,
        ),
    ]
