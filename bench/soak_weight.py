"""`make soak`, second part: the exchange's weight limit, whatever goes wrong, in real minutes.

Six workers run passes for one IP against the simulator, which counts what arrives. Meanwhile
replies stall for 8 s, Redis is wiped, killed, and its clock stepped an hour ahead and back. The
promise: never more than 1,200 in any sliding 60 s, no 429, and in calm minutes at least 90 % of the
configured budget used.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import redis

from bench.server import durable_postgres
from hlcopy.embedded import valkey
from hlcopy.embedded.state import EmbeddedState, ensure_state
from hlcopy.supervisor.children import popen_options

WORKERS = 6
EXCHANGE_LIMIT = 1200
CONFIGURED = 1100
CALM_SECONDS = 180
STALLED_SECONDS = 90
# Closed for 65 s after each of these, then a full minute of spending.
AFTER_LOSS_SECONDS = 140
TRADERS = 60_000


def main() -> int:
    """Run the schedule, print a line for each phase and the verdict; 0 if the promise held."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hlcopy-soak-")))
        database = stack.enter_context(durable_postgres())
        clock = directory / "clock"
        state = ensure_state(directory)
        server = stack.enter_context(_Valkey(directory, state, clock).running())
        api = stack.enter_context(_simulator())
        os.environ |= {
            "DATABASE_URL": database.url,
            "REDIS_URL": state.redis_url,
            "HYPERLIQUID_API_URL": api,
            "HYPERLIQUID_WEIGHT_PER_MINUTE": str(CONFIGURED),
            "TRACKING_INTERVAL_SECONDS": "20",
        }
        _prepare()
        exchange = stack.enter_context(httpx.Client(base_url=api, trust_env=False))
        stack.enter_context(_workers())
        return _schedule(exchange, server, state, clock)


def _schedule(exchange: httpx.Client, server: _Valkey, state: EmbeddedState, clock: Path) -> int:
    """Play every phase in turn."""
    broker = redis.Redis.from_url(state.redis_url)
    print(f"{'phase':<34}{'seconds':>8}{'spent':>8}{'most in 60 s':>14}{'refused':>9}")
    # The minute after the start is closed: nobody can know what was spent before.
    _phase(exchange, "start (closed for 65 s)", 70)
    calm = _phase(exchange, "calm", CALM_SECONDS)
    exchange.post("/sim/faults", json={"rest_delay_seconds": 8}).raise_for_status()
    _phase(exchange, "replies stalled for 8 s", STALLED_SECONDS)
    exchange.delete("/sim/faults").raise_for_status()
    troubles: list[tuple[str, Callable[[], object]]] = [
        ("Redis wiped", broker.flushall),
        ("Redis killed and empty", server.kill_and_restart),
        ("Redis' clock one hour ahead", lambda: clock.write_text("+3600")),
        ("Redis' clock one hour back", lambda: clock.write_text("+0")),
    ]
    for name, trouble in troubles:
        trouble()
        _phase(exchange, name, AFTER_LOSS_SECONDS)
    weight = exchange.get("/sim/weight").json()
    most = weight["max_in_any_60s"]
    refused = sum(ip["refused"] for ip in weight["ips"].values())
    used = calm / (CALM_SECONDS / 60) / CONFIGURED
    held = [
        (f"most weight in any 60 s: {most} <= {EXCHANGE_LIMIT}", most <= EXCHANGE_LIMIT),
        (f"requests refused with 429: {refused}", refused == 0),
        (f"of the configured budget used in calm minutes: {used:.1%} >= 90 %", used >= 0.9),
    ]
    for promise, is_held in held:
        print("PASS" if is_held else "FAIL", promise)
    return 0 if all(is_held for _, is_held in held) else 1


def _phase(exchange: httpx.Client, name: str, seconds: float) -> int:
    """Let the workers work; print and return the weight that arrived meanwhile."""
    before = _spent(exchange)
    time.sleep(seconds)
    weight = exchange.get("/sim/weight").json()
    spent = _spent(exchange) - before
    refused = sum(ip["refused"] for ip in weight["ips"].values())
    print(
        f"{name:<34}{seconds:>8.0f}{spent:>8}{weight['max_in_any_60s']:>14}{refused:>9}", flush=True
    )
    return spent


def _spent(exchange: httpx.Client) -> int:
    """Return all weight that ever arrived."""
    return sum(int(ip["total"]) for ip in exchange.get("/sim/weight").json()["ips"].values())


class _Valkey:
    """The embedded Valkey, with a clock that `clock` moves (libfaketime)."""

    def __init__(self, directory: Path, state: EmbeddedState, clock: Path) -> None:
        clock.write_text("+0")
        program = valkey.prepare(directory, state, throw_away=True)
        import libfaketime  # noqa: PLC0415 (of the development tools; only here)

        library = next(Path(libfaketime.__file__).parent.rglob("libfaketime.so.1"))
        self._program = replace(
            program,
            environment={
                **program.environment,
                "LD_PRELOAD": str(library),
                "FAKETIME_TIMESTAMP_FILE": str(clock),
                "FAKETIME_NO_CACHE": "1",
                "DONT_FAKE_MONOTONIC": "1",
            },
        )
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator[_Valkey]:
        """Run it until the end of the block."""
        self._start()
        try:
            yield self
        finally:
            self._kill()

    def kill_and_restart(self) -> None:
        """Kill it; it keeps nothing on disk, so everything is gone."""
        self._kill()
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._program.command,
            env=dict(self._program.environment),
            stdout=subprocess.DEVNULL,
            **popen_options(death_signal=signal.SIGKILL),
        )
        while not self._program.is_ready(self._process.pid):
            time.sleep(0.05)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def _simulator() -> Iterator[str]:
    """Run the simulator as a process of its own; yield the URL of its API."""
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "--port", "0", "--traders", "500"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdout is None:
            raise SystemExit("the simulator has no output")
        line = process.stdout.readline()
        yield dict(part.split("=", 1) for part in line.split())["api"]
    finally:
        process.terminate()
        process.wait()


def _prepare() -> None:
    """Migrate, and add traders who wait."""
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], check=True)
    load = (
        "from hlcopy.clock import utc_now; from traders.sightings import record; "
        f"record([(f'0x{{n:040x}}', '') for n in range({TRADERS})], utc_now())"
    )
    subprocess.run([sys.executable, "manage.py", "shell", "-v", "0", "-c", load], check=True)


@contextmanager
def _workers() -> Iterator[None]:
    """Run the workers, each of them one pass after the other."""
    endless = (
        "from asgiref.sync import async_to_sync; from traders.tasks import track\n"
        "while True: async_to_sync(track)(18.0)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "manage.py", "shell", "-v", "0", "-c", endless],
            stderr=subprocess.DEVNULL,
        )
        for _ in range(WORKERS)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
