"""From the committed event to the browser's frame: 200 sockets, 100 events a second."""

from __future__ import annotations

import statistics
import time

from bench.measure import Promise
from bench.pushing import OURS, browsers, commit, web
from traders.models import EventHead

SOCKETS, EVENTS_PER_SECOND, SECONDS = 200, 100, 20
P50_SECONDS, P99_SECONDS = 0.025, 0.1


def bench() -> list[Promise]:
    """Commit one event after the other at a steady pace; return what was promised."""
    EventHead.objects.get_or_create(pk=1)
    committed: dict[int, float] = {}
    with web(OURS) as server, browsers(server.url, SOCKETS) as clients:
        clients.say(f"count {SOCKETS} 20")
        commit(1)
        clients.answer()
        clients.say(f"times {SECONDS * EVENTS_PER_SECOND * SOCKETS} {3 * SECONDS}")
        cpu, began_at = server.cpu_seconds(), time.monotonic()
        for number in range(SECONDS * EVENTS_PER_SECOND):
            time.sleep(max(0.0, began_at + number / EVENTS_PER_SECOND - time.monotonic()))
            committed[commit(1)] = time.monotonic()
        share = (server.cpu_seconds() - cpu) / (time.monotonic() - began_at)
        times = clients.answer()
    found = [at - committed[event] for event in committed for at in times.get(str(event), [])]
    if len(found) != len(committed) * SOCKETS:
        raise SystemExit(f"{len(found)} of {len(committed) * SOCKETS} deliveries: void")
    cuts = statistics.quantiles(found, n=100)
    print(
        f"{len(committed)} events to {SOCKETS} sockets: p50 {cuts[49] * 1e3:.1f} ms,"
        f" p90 {cuts[89] * 1e3:.1f}, p99 {cuts[98] * 1e3:.1f}, worst {max(found) * 1e3:.1f};"
        f" the web process used {share:.0%} of a core"
    )
    return [
        Promise(
            "from commit to the browser's frame, 200 sockets, 100 events/s:"
            " p50 <= 25 ms, p99 <= 100 ms",
            f"{cuts[49] * 1e3:.1f} ms, {cuts[98] * 1e3:.1f} ms",
            cuts[49] <= P50_SECONDS and cuts[98] <= P99_SECONDS,
        )
    ]
