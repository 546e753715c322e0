"""Runs every benchmark and prints each promise with PASS or FAIL; the exit code says the same.

`python -m bench claiming addresses` runs these two alone.
"""

from __future__ import annotations

import importlib
import os
import random
import sys
import time
from collections.abc import Callable

from bench.measure import Promise, cpu_of_children
from bench.server import durable_postgres, throwaway_valkey

#: Needs no other rows than its own.
ON_ITS_OWN = {
    "classic": "the published measures of the classic design",
    "board": "the cached leaderboard over HTTP",
    "fanout": "events to browsers",
    "latency": "from commit to browser",
    "fast_line": "from the exchange's frame to the browser's",
    "recovery": "outages of the exchange, a stall, and the death of all stream processes",
    "appending": "events appended to the log",
    "memory": "memory of the stream process",
}
#: Beside a million traders; each with what it is given.
OF_A_MILLION = {
    "claiming": ("claim of 50 among 1,000,000 traders", ("server_cpu_seconds",)),
    "addresses": (
        "new addresses into a table of 1,000,000 traders",
        ("numbers", "server_cpu_seconds"),
    ),
    "ranking": ("a leaderboard of 1,000,000 traders", ("server_cpu_seconds",)),
    "admin": ("the admin at 1,000,000 traders, positions, events, snapshots and job runs", ()),
}
#: These go on with the book of a million, with positions and known bases.
OF_THE_BOOK = ("fast_line", "ingesting", "day")
ALL = tuple(dict.fromkeys(("decoding", *ON_ITS_OWN, *OF_A_MILLION, *OF_THE_BOOK)))


def main() -> int:
    """Measure; return 1 if any promise was not kept."""
    started = time.monotonic()
    chosen = set(sys.argv[1:]) or set(ALL)
    if unknown := chosen - set(ALL):
        raise SystemExit(f"no benchmark {', '.join(unknown)}; there are {', '.join(ALL)}")
    numbers = random.Random(1)
    print(f"load average before: {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores")
    with durable_postgres() as server, throwaway_valkey() as redis:
        os.environ["DATABASE_URL"], os.environ["REDIS_URL"] = server.url, redis.url
        os.environ["DJANGO_SETTINGS_MODULE"] = "hlcopy.settings"
        promises = measure(chosen, numbers, server.pid)
    print(f"\nload average after: {os.getloadavg()[0]:.2f}; {time.monotonic() - started:.0f} s\n")
    for promise in promises:
        print(promise)
    return 0 if all(promise.kept for promise in promises) else 1


def measure(chosen: set[str], numbers: random.Random, server_pid: int) -> list[Promise]:
    """Set Django up on the server, fill it and run one benchmark after the other."""
    import django  # noqa: PLC0415 (its settings need the server's address)
    from django.core.management import call_command  # noqa: PLC0415

    django.setup()
    call_command("migrate", verbosity=0)
    databases, population = (
        importlib.import_module(f"bench.{name}") for name in ("databases", "population")
    )
    databases.keep("migrated")
    server_cpu = cpu_of_children(server_pid)
    promises: list[Promise] = []
    if "decoding" in chosen:
        print("\nframes to trades and traders")
        promises += importlib.import_module("bench.decoding").bench(numbers)
    for name, title in ON_ITS_OWN.items():
        if name in chosen:
            print(f"\n{title}")
            databases.put_back("migrated")
            promises += importlib.import_module(f"bench.{name}").bench()
    if chosen & {*OF_A_MILLION, *OF_THE_BOOK}:
        print("\nloading 1,000,000 traders ...", flush=True)
        databases.put_back("migrated")
        population.load(numbers)
        databases.keep("million")
    given = {"numbers": numbers, "server_cpu_seconds": server_cpu}
    for name, (title, wanted) in OF_A_MILLION.items():
        if name in chosen:
            print(f"\n{title}")
            databases.put_back("million")
            module = importlib.import_module(f"bench.{name}")
            promises += module.bench(*(given[argument] for argument in wanted))
    if chosen & set(OF_THE_BOOK):
        databases.put_back("million")
        promises += of_the_book(chosen, numbers, server_cpu)
    return promises


def of_the_book(
    chosen: set[str], numbers: random.Random, server_cpu_seconds: Callable[[], float]
) -> list[Promise]:
    """Give the million traders positions and trade on."""
    book, ingesting, day, fast_line = (
        importlib.import_module(f"bench.{name}")
        for name in ("book", "ingesting", "day", "fast_line")
    )
    print("\nloading 3,000,000 positions ...", flush=True)
    book.load()
    promises: list[Promise] = []
    if "ingesting" in chosen:
        print("\ntrades into a book of 1,000,000 traders and 3,000,000 positions")
        promises += ingesting.bench(numbers, server_cpu_seconds)
    if "fast_line" in chosen:
        print("\nfrom the exchange's frame to the browser's, with that book")
        promises += fast_line.bench(large=True)
    if "day" in chosen:
        print("\na day of events")
        promises += day.bench(book.addresses(), numbers)
    return promises


if __name__ == "__main__":
    sys.exit(main())
