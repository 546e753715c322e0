"""What the stream process keeps of each trader that it has met, and of each trade that waits."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from bench.measure import Promise

TRADERS = 200_000
WAITING_TRADES = 100_000
PROMISED_BYTES = 50_000_000


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Meet traders, then let trades wait; print the bytes of 100,000 of each."""
    import django  # noqa: PLC0415 (its settings need the server's address)

    django.setup()
    from bench.book import Market  # noqa: PLC0415
    from bench.population import random_address  # noqa: PLC0415
    from discovery.batching import FrameQueue  # noqa: PLC0415
    from hlcopy.clock import utc_now  # noqa: PLC0415
    from traders.ledgers import KnownTraders  # noqa: PLC0415
    from traders.writing import writing  # noqa: PLC0415

    numbers, known = random.Random(2), KnownTraders()

    def meet(count: int) -> None:
        for _ in range(0, count, 2_000):
            with writing():
                known.learn({(random_address(numbers), "") for _ in range(2_000)}, utc_now())

    meet(10_000)
    before = _resident_bytes()
    meet(TRADERS)
    each = (_resident_bytes() - before) / TRADERS
    queue, market = FrameQueue(), Market([random_address(numbers) for _ in range(1_000)], numbers)
    before = _resident_bytes()
    for arrival in market.batch(WAITING_TRADES):
        queue.offer(arrival)
    waiting = (_resident_bytes() - before) / WAITING_TRADES
    print(100_000 * each, 100_000 * waiting, before)


def bench() -> list[Promise]:
    """Print the bytes that a process of its own has measured; return what was promised of them."""
    found = subprocess.run(
        [sys.executable, "-m", "bench.memory"], check=True, stdout=subprocess.PIPE, text=True
    )
    traders, waiting, whole = map(float, found.stdout.split())
    print(
        f"100,000 traders met: {traders / 1e6:.1f} MB; 100,000 trades that wait:"
        f" {waiting / 1e6:.1f} MB; the whole process with {TRADERS:,} traders {whole / 1e6:.0f} MB"
    )
    return [
        Promise(
            f"100,000 traders take at most {PROMISED_BYTES / 1e6:.0f} MB of the stream process",
            f"{traders / 1e6:.1f} MB",
            traders <= PROMISED_BYTES,
        )
    ]


if __name__ == "__main__":
    main()
