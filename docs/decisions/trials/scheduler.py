"""APScheduler 3 against the scheduler's list: two at once, a restart, a claim.

usage: python scheduler.py (needs `pip install 'apscheduler<4' sqlalchemy`)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = """
import os, sys, time
from apscheduler.schedulers.blocking import BlockingScheduler
def tick():
    with open(sys.argv[2], "a") as out: out.write(f"{time.time():.2f} {os.getpid()}\\n")
scheduler = BlockingScheduler()
scheduler.add_jobstore("sqlalchemy", url="sqlite:///" + sys.argv[1])
scheduler.add_job("__main__:tick", "interval", seconds=2, id="tick", replace_existing=True)
scheduler.start()
"""


def run(name: str, lives: list[tuple[float, float]]) -> None:
    """Start one scheduler per (start, end) in seconds and print when the 2 s job ran."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "ticks")
        out.touch()
        began = time.time()
        running: list[tuple[float, subprocess.Popen[bytes]]] = []
        for start, end in lives:
            time.sleep(max(0.0, began + start - time.time()))
            command = [sys.executable, "-c", PROGRAM, f"{folder}/jobs.db", str(out)]
            running.append((end, subprocess.Popen(command)))  # noqa: S603 (ourselves)
            for ends_at, process in running:
                if ends_at <= start:
                    process.kill()
        for end, process in running:
            time.sleep(max(0.0, began + end - time.time()))
            process.kill()
            process.wait()
        ticks = [line.split() for line in out.read_text().splitlines()]
        print(name)  # noqa: T201 (it prints its report)
        for at, pid in ticks:
            print(f"   {float(at) - began:6.2f} s by {pid}")  # noqa: T201 (as above)


run("two schedulers on one job store, 7 s, a job every 2 s (due: 3 runs)", [(0, 7), (0.7, 7)])
run("one scheduler restarted every 1.5 s, 6 s (due: 3)", [(t, t + 1.5) for t in (0, 1.5, 3, 4.5)])
