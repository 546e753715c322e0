"""`make soak`: whether a wrong number was ever shown as known and fresh, whatever goes wrong.

`python -m bench.soak --seconds 2400 --trades 500000 --seed 1`. A simulated exchange, PostgreSQL and
Valkey of its own, three stream processes, passes, healing and retention, as real processes; faults
by a schedule that follows from the seed; every few seconds all positions, the log, gaps and
corrections are held against the exchange's own truth. At the end the market calms down, healing
finishes, and everything must be whole.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from asgiref.sync import async_to_sync

from bench.soak_market import Market, market, now_ms
from bench.soak_node import Node
from bench.soak_outages import Missed, Outages
from bench.soak_troubles import Troubles
from bench.soak_world import DISCOVERIES, World
from exchange.shared_budget import SharedBudget
from hlcopy.embedded.state import ensure_state

if TYPE_CHECKING:
    from bench.soak_checks import Checks

TICK_SECONDS = 0.2
LOOK_SECONDS = 3.0
#: Who waits for a second look, and what the last outage has left behind.
HEALED_WITHIN_SECONDS = 180.0
#: Everybody is looked at once more: an account on both dexes costs 4 of the passes' 800 a minute.
HEALED_WITHIN_SECONDS_A_TRADER = 60 * 4 / 800
CALM_PACE = 1.0
#: Growth in a process' old age beyond this is a leak.
MOST_MB_A_MINUTE = 3.0


def main() -> int:
    """Run the soak; 0 if every promise was held."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2400)
    parser.add_argument("--trades", type=int, default=500_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--traders", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--compared", type=int, default=1000, help="accounts, at the end")
    parser.add_argument("--only", default="", help="comma list of kinds of trouble")
    parser.add_argument("--keep", type=Path, help="a folder for logs, kept")
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = options.keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="hlcopy-soak-"))
        )
        directory = directory.resolve()
        state = ensure_state(directory)
        world = World(directory, state)
        stack.callback(world.stop)
        world.postgres.start()
        world.valkey.start()
        pace = options.trades / options.seconds
        exchange = stack.enter_context(
            market(options.seed, options.traders, pace, directory / "market.log")
        )
        os.environ |= {
            "DATABASE_URL": state.database_url,
            "REDIS_URL": state.redis_url,
            "HLCOPY_DATA": str(directory),
            "HYPERLIQUID_API_URL": exchange.api_url,
            "HYPERLIQUID_WS_URL": exchange.ws_url,
            "HYPERLIQUID_COINS": "all,xyz:*",
            "DJANGO_SETTINGS_MODULE": "hlcopy.settings",
        }
        subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], check=True)
        import django  # noqa: PLC0415 (its settings need the addresses)

        django.setup()
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
        return Soak(exchange, world, options).run()


@dataclass
class Soak:
    """One run."""

    exchange: Market
    world: World
    options: argparse.Namespace
    outages: Outages = field(default_factory=Outages)
    missed: Missed = field(default_factory=Missed)
    is_late: bool = False
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def run(self) -> int:
        """Play the schedule, let everything calm down, print the report."""
        from bench.soak_checks import Checks  # noqa: PLC0415 (models)

        options = self.options
        async_to_sync(open_budget)()
        web_url = self.world.start_web()
        checks = Checks(self.exchange, self.outages, self.missed, Random(options.seed), web_url)
        troubles = Troubles(
            *(self.exchange, self.world, self.outages, self.missed),
            seed=options.seed,
            seconds=options.seconds,
            kills=options.kills,
            only=frozenset(filter(None, options.only.split(","))),
        )
        self.world.start_ours()
        stop = threading.Event()
        beside = [threading.Thread(target=self._look, args=(checks, stop))]
        if not options.only or "imports" in options.only:
            told = self.missed.told_by_nodes
            node = Node(self.exchange, self.world.directory, troubles.count, told)
            beside.append(threading.Thread(target=node.run, args=(Random(options.seed), stop)))
        for thread in beside:
            thread.start()
        begun = time.monotonic()
        while time.monotonic() < begun + options.seconds:
            self._tick(checks)
            troubles.tick()
            time.sleep(TICK_SECONDS)
        stop.set()
        for thread in beside:
            thread.join()
        troubles.end()
        self._calm_down(checks)
        self._report(checks, troubles)
        return 1 if checks.failures else 0

    def _tick(self, checks: Checks) -> None:
        faults = self.exchange.struck("frames")
        self.outages.look(self.exchange.state(), faults)
        is_late = "late_blocks_every" in faults or "frames_delay_seconds" in faults
        if is_late:
            if not self.is_late:
                checks.late_frames.append((now_ms(), now_ms()))
            checks.late_frames[-1] = (checks.late_frames[-1][0], now_ms())
        self.is_late = is_late
        for name, child in self.world.ours.items():
            if child.runs:
                self.memory[f"{name} {child.kills}"].append(
                    (time.monotonic() - child.started_at, child.resident_mb())
                )

    def _look(self, checks: Checks, stop: threading.Event) -> None:
        """Check all along; what PostgreSQL's death interrupts is checked the next time."""
        from django.db import Error, connection  # noqa: PLC0415

        begun = time.monotonic()
        while not stop.wait(LOOK_SECONDS):
            try:
                found = checks.look()
                seconds = time.monotonic() - begun
                print(
                    f"{seconds:6.0f} s {dict(found)} events={checks.counts['events']}", flush=True
                )
            except Error as failure:
                checks.counts["looks without PostgreSQL"] += 1
                print("no look:", " ".join(str(failure).split())[:100], flush=True)
                connection.close()
                checks.ask_without_database()
            except Exception:  # noqa: BLE001 (the soak goes on, and fails)
                checks.fail("the checks themselves", "", "", traceback.format_exc())
        connection.close()

    def _calm_down(self, checks: Checks) -> None:
        """Let the market rest, and everything heal."""
        from bench.soak_looks import unhealed  # noqa: PLC0415
        from traders import coverage  # noqa: PLC0415
        from traders.models import Trader  # noqa: PLC0415

        # The feed's clock is believed while somebody trades.
        self.exchange.order("pace", trades_per_second=CALM_PACE)
        begun = time.monotonic()
        found: Counter[str] = Counter()
        most_seconds = (
            HEALED_WITHIN_SECONDS + HEALED_WITHIN_SECONDS_A_TRADER * Trader.objects.count()
        )
        while time.monotonic() < begun + most_seconds:
            time.sleep(2)
            self._tick(checks)
            found = checks.look()
            waiting = unhealed()
            print("calming down:", dict(found), waiting, flush=True)
            if set(found) == {"fresh"} and not waiting and coverage.covered_coins():
                break
        self.exchange.order("pace", trades_per_second=0)
        time.sleep(3)
        checks.counts["seconds until all was whole"] = round(time.monotonic() - begun)
        checks.final(self.options.compared)

    def _report(self, checks: Checks, troubles: Troubles) -> None:
        errors = Counter(
            re.sub(r"\d+", "n", line)[:110]
            for line in self.world.postgres.output().splitlines()
            if re.match(r"(ERROR|FATAL|PANIC)", line)
        )
        if deadlocks := sum(count for line, count in errors.items() if "deadlock" in line):
            checks.fail("deadlock", "PostgreSQL", "", str(deadlocks))
        lasted = [(one.to_ms - one.from_ms) / 1000 for one in self.outages.all if one.to_ms]
        print(f"\n{self.exchange.state()['trades_total']} trades on the exchange")
        print(f"{len(lasted)} outages, the longest {max(lasted, default=0):.1f} s")
        blind_seconds = checks.blind_ms / 1000
        print(f"{blind_seconds:.0f} s at most until what the feed is not told was seen")
        _table("troubles", troubles.counts)
        _table("checks", checks.counts)
        _table("PostgreSQL's errors", errors)
        self._report_memory(checks)
        print(f"\n{len(checks.failures)} failures", *checks.failures[:40], sep="\n  ")

    def _report_memory(self, checks: Checks) -> None:
        print("\nmemory of each kind's longest life")
        for name in (*DISCOVERIES, "web", "track", "heal", "retain"):
            lives = [life for key, life in self.memory.items() if key.rpartition(" ")[0] == name]
            life = max(lives, key=len, default=[])
            most = max((mb for _, mb in life), default=0)
            old = [(age, mb) for age, mb in life if age > max(60, life[-1][0] / 3)]
            slope, seconds = _slope(old) * 60, len(old) * TICK_SECONDS
            print(f"   {name}: {most:.0f} MB, {slope:+.2f} MB a minute over {seconds:.0f} s")
            if len(old) > 1000 and slope > MOST_MB_A_MINUTE:
                checks.fail("memory grows", name, "", f"{slope:.2f} MB a minute")


async def open_budget() -> None:
    """Let the shared budget be open at once: nobody has asked this exchange before."""
    async with SharedBudget(os.environ["REDIS_URL"]) as budget:
        await budget.open()


def _table(title: str, counts: Mapping[str, int]) -> None:
    print(
        f"\n{title}", *(f"   {name}: {count}" for name, count in sorted(counts.items())), sep="\n"
    )


def _slope(points: list[tuple[float, float]]) -> float:
    """Return the slope of the line through the points (least squares)."""
    if len(points) < 2:
        return 0.0
    x_mean = sum(x for x, _ in points) / len(points)
    y_mean = sum(y for _, y in points) / len(points)
    spread = sum((x - x_mean) ** 2 for x, _ in points)
    return sum((x - x_mean) * (y - y_mean) for x, y in points) / spread if spread else 0.0


if __name__ == "__main__":
    sys.exit(main())
