"""A node's file of the last minute's fills, imported beside the sockets."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from random import Random

from bench.soak_market import Market, now_ms
from bench.soak_outages import ToldByNodes
from hlcopy.supervisor.children import popen_options

REACHES_BACK_MS = 40_000


class Node:
    """Writes files and has them imported; some imports are killed and run again."""

    def __init__(
        self,
        exchange: Market,
        directory: Path,
        count: Callable[[str], None],
        told: ToldByNodes,
    ) -> None:
        """Write into the directory; `count` is told what happened, `told` what is in the files."""
        self._exchange, self._directory = exchange, directory
        self._count, self._told = count, told
        self._files = 0

    def run(self, dice: Random, stop: threading.Event) -> None:
        """Import a file now and then, in a thread of its own."""
        while not stop.wait(dice.uniform(20, 90)):
            path = self._write(stop)
            if path is None:
                return
            if dice.random() < 0.3:
                self._import(path, dice.uniform(0.5, 3))
            self._import(path, 90)

    def _write(self, stop: threading.Event) -> Path | None:
        """Write everybody's fills of the last while; None when the soak is over meanwhile."""
        to_ms = now_ms()
        everybody = {who for dex in ("", "xyz") for who in self._exchange.positions(dex, to_ms)}
        lines = []
        for address in sorted(everybody):
            # A node does not answer slowly because the exchange's REST does.
            while self._exchange.struck("rest").get("rest_slow_seconds") and not stop.wait(0.2):
                pass
            if stop.is_set():
                return None
            fills = self._exchange.fills(address, to_ms - REACHES_BACK_MS, to_ms)
            lines += [(row["time"], row["oid"], json.dumps([address, row])) for row in fills]
            for row in fills:
                self._told.add(address, row)
        self._files += 1
        path = self._directory / f"fills-{self._files}"
        path.write_text("".join(f"{line}\n" for _, _, line in sorted(lines)))
        return path

    def _import(self, path: Path, seconds: float) -> None:
        """Import it; one that takes longer is killed."""
        with (self._directory / "importfills.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "importfills", str(path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **popen_options(death_signal=signal.SIGKILL),
            )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._count(
            {0: "imports", -signal.SIGKILL: "imports killed"}.get(
                process.returncode, "imports cut off"
            )
        )
