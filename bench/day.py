"""A day of 7,000,000 events: held, served beside a small log, and dropped beside a writer."""

from __future__ import annotations

import random
import statistics
import threading
import time

from django.db import connection, connections
from django.test import Client

from bench.book import Market
from bench.measure import Promise
from hlcopy.clock import utc_now
from traders import partitions, retention
from traders.ingest import ingest
from traders.ledgers import KnownTraders
from traders.models import EventHead
from traders.partitions import EVENTS

EVENTS_OF_A_DAY = 7_000_000
AT_ONCE = 500_000
DAYS_AGO = 20
ROUNDS = 40
#: A page of the large log against one of the small log.
PROMISED_RATIO = 2.0
#: A writer waits for a lock no longer than retention asks for it.
LONGEST_WAIT_SECONDS = 2.0
# With the indexes that ingest writes; the busiest trader has one event in a hundred.
FILL = """
INSERT INTO traders_positionevent (
    id, created_at, trader_id, trader_address, kind, coin, side, size_before, size_after, price,
    source, stale, replayed, exchange_time_ms, details)
SELECT number, now() - make_interval(days => %s), trader, '0x' || lpad(to_hex(trader), 40, '0'),
       'INCREASE', 'C' || lpad((number %% 200)::text, 3, '0'), 'BUY', 12.34, 15.67, 104233.5,
       'feed', false, false, 1790000000000 + number,
       '{"role": "taker", "fees": "1.25", "entry_price": "104000.123456789012345678"}'
  FROM (SELECT number, CASE WHEN number %% 100 = 0 THEN 1
                            ELSE 1 + number * 7919 %% 1000000 END AS trader
          FROM generate_series(%s::bigint, %s::bigint) AS number) AS numbers
"""
SIZE = """
SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits
 WHERE inhparent = 'traders_positionevent'::regclass
"""


def bench(traders: list[str], numbers: random.Random) -> list[Promise]:
    """Print sizes and times; return what was promised of them."""
    known, market = KnownTraders(), Market(traders, numbers, days_later=3)
    partitions.make_ahead(EVENTS)
    ingest(market.batch(2_000), known)
    small = _pages()
    bytes_each, fill_seconds = _fill()
    ingest(market.batch(2_000), known)
    large = _pages()
    dropped, drop_seconds, longest, batches = _drop_beside_a_writer(market, known)
    print(
        f"{EVENTS_OF_A_DAY:,} events: {bytes_each:.0f} bytes each with their indexes, filled in"
        f" {fill_seconds:.0f} s; {dropped} partitions dropped in {drop_seconds:.2f} s, meanwhile"
        f" {batches} batches of a writer, the slowest {longest * 1e3:.0f} ms"
    )
    ratios = {name: large[name] / small[name] for name in small}
    for name, ratio in ratios.items():
        print(f"{name:40}{large[name] * 1e3:9.1f} ms, {ratio:.2f} times as long as in a small log")
    return [
        Promise(
            f"pages of a log of {EVENTS_OF_A_DAY:,} events take at most {PROMISED_RATIO:.0f} times"
            " as long as those of a small one",
            ", ".join(f"{ratio:.2f}" for ratio in ratios.values()),
            max(ratios.values()) <= PROMISED_RATIO,
        ),
        Promise(
            f"a day of events is dropped, and no writer waits {LONGEST_WAIT_SECONDS:.0f} s for it",
            f"{dropped} partitions in {drop_seconds:.2f} s, slowest batch {longest * 1e3:.0f} ms",
            dropped >= EVENTS_OF_A_DAY // EVENTS.ids_each - 1 and longest <= LONGEST_WAIT_SECONDS,
        ),
    ]


def _pages() -> dict[str, float]:
    """Return the median seconds of three requests."""
    head = EventHead.objects.get().head
    found = {}
    client = Client(SERVER_NAME="127.0.0.1")
    for name, url in {
        "/api/v1/events, the newest 500": f"/api/v1/events?after={head - 500}&limit=500",
        "/api/v1/events, 500 from the middle": f"/api/v1/events?after={head // 2}&limit=500",
        "the busiest trader's newest 100": "/traders/1/events?limit=100",
    }.items():
        seconds = []
        for _ in range(ROUNDS):
            began_at = time.perf_counter()
            response = client.get(url)
            seconds.append(time.perf_counter() - began_at)
            if response.status_code != 200:
                raise SystemExit(f"{url}: {response.content!r}")
        found[name] = statistics.median(seconds[ROUNDS // 4 :])
    return found


def _fill() -> tuple[float, float]:
    """Append the day; return bytes for each event and the seconds it took."""
    began_at = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(SIZE)
        before = cursor.fetchone()[0]
        head = EventHead.objects.get().head
        for first in range(head + 1, head + EVENTS_OF_A_DAY, AT_ONCE):
            last = first + AT_ONCE - 1
            partitions.make_room(EVENTS, first, last)
            cursor.execute(FILL, [DAYS_AGO, first, last])
        EventHead.objects.update(head=head + EVENTS_OF_A_DAY)
        # What was there before is as old.
        cursor.execute(
            "UPDATE traders_positionevent SET created_at = now() - make_interval(days => %s)"
            " WHERE id <= %s",
            [DAYS_AGO, head],
        )
        cursor.execute(SIZE)
        held = cursor.fetchone()[0] - before
    partitions.make_ahead(EVENTS)
    return held / EVENTS_OF_A_DAY, time.monotonic() - began_at


def _drop_beside_a_writer(market: Market, known: KnownTraders) -> tuple[int, float, float, int]:
    """Return partitions dropped, the seconds, and a writer's slowest batch of how many."""
    result: list[tuple[int, float]] = []

    def drop() -> None:
        began_at = time.monotonic()
        done = retention.drop_old(utc_now(), event_days=14, snapshot_days=90)
        result.append((int(str(done["events_dropped"])), time.monotonic() - began_at))
        connections.close_all()

    thread = threading.Thread(target=drop)
    batches = []
    thread.start()
    while thread.is_alive():
        batch = market.batch(25)
        began_at = time.monotonic()
        ingest(batch, known)
        batches.append(time.monotonic() - began_at)
    thread.join()
    if not result:
        raise SystemExit("nothing could be dropped")
    dropped, seconds = result[0]
    return dropped, seconds, max(batches), len(batches)
