"""A million traders ranked and published, beside the classic way: one trader after the other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from django.db import connection

from bench.measure import Option, Promise, compare
from hlcopy.clock import utc_now
from hlcopy.configuration import PRESETS
from leaderboard import ranking

PROMISED_SECONDS = 5.0
CLASSIC_TRADERS = 2_000
WINDOW = "30"
# Two days and, at the mean, one round trip of each: who trades at all does so on few days.
DAYS = """
INSERT INTO traders_traderday (
    trader_id, day, volume_usd, events, closed, wins, losses, gross_profit, gross_loss,
    realised_gross, fees, equity_open, equity_close, equity_min, equity_max,
    nav_open, nav_close, nav_min, nav_max, net_flow, snapshots)
SELECT id, current_date - ago, round((random() * 1e6)::numeric, 4), 5, 2,
       (random() * 2)::int, (random() * 2)::int, round((random() * 1e3)::numeric, 4),
       round((random() * 1e3)::numeric, 4), round((random() * 1e3 - 500)::numeric, 4), 3.5,
       1000, 1010, 990, 1020, 1, round((0.9 + random() / 5)::numeric, 6), 0.9, 1.15, 0, 2
  FROM traders_trader, generate_series(0, 1) AS ago
"""
TRIPS = """
INSERT INTO traders_roundtrip (
    trader_id, dex, coin, side, opened_at_ms, closed_at_ms, peak_size, entry_price,
    gross_pnl, fees, funding, net_pnl, complete, estimated)
SELECT id, '', 'BTC', 'LONG', 1, extract(epoch FROM now())::bigint * 1000, 1, 100,
       result, 1, 0, result, true, true
  FROM (SELECT id, round((random() * 1e3 - 500)::numeric, 4) AS result FROM traders_trader) AS trip
"""


def load() -> None:
    """Give everyone of the million a history."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE traders_trader SET last_tracked_at = now(), quarantined_at = NULL")
        cursor.execute(DAYS)
        cursor.execute(TRIPS)
        for table in ("traders_trader", "traders_traderday", "traders_roundtrip"):
            cursor.execute(f"VACUUM ANALYZE {table}")


class Watch:
    """How long the statements of one publication took: adding up, and all that follows it."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.adding = 0.0

    def __call__(self, execute: Any, sql: str, *arguments: Any) -> Any:
        """Time one statement."""
        began = time.perf_counter()
        result = execute(sql, *arguments)
        if "CREATE TEMPORARY TABLE tally" in sql:
            self.adding += time.perf_counter() - began
        return result


def bench(server_cpu_seconds: Callable[[], float]) -> list[Promise]:
    """Print the comparison; return what was promised of it."""
    load()
    weights = PRESETS["classic"]
    adding: list[float] = []

    def publish() -> int:
        watch = Watch()
        with connection.execute_wrapper(watch):
            boards = ranking.publish(utc_now(), "classic", weights, windows=(WINDOW,))
        adding.append(watch.adding)
        return boards[WINDOW].traders // 1_000_000

    ours = Option("published", publish, afterwards=remove)
    compare([ours], rounds=3, server_cpu_seconds=server_cpu_seconds)
    whole, added = statistics.median(ours.wall), statistics.median(adding[1:])
    scored = statistics.median(
        all_of_it - part for all_of_it, part in zip(ours.wall, adding[1:], strict=True)
    )
    classic = classic_seconds_for_each() * 1_000_000
    print(f"{'2,000,000 days and 1,000,000 trips added up':52}{added:10.2f} s")
    print(f"{'a million scored, ranked, stored, indexed, shown':52}{scored:10.2f} s")
    print(f"{'both':52}{whole:10.2f} s, server CPU {statistics.median(ours.server_cpu):.2f} s")
    print(f"{'one by one, 2 queries and a save each (extrapolated)':52}{classic:10.0f} s")
    return [
        Promise(
            f"1,000,000 traders scored and stored within {PROMISED_SECONDS:.0f} s",
            f"median {scored:.2f} s, and {added:.2f} s before it to add up their days"
            f" ({classic / whole:.0f} times the classic way)",
            scored <= PROMISED_SECONDS,
        )
    ]


def classic_seconds_for_each() -> float:
    """Do as the classic design does: read a trader's history, read it again, save one row."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE classic_metric (trader_id bigint PRIMARY KEY, score float8)")
        cursor.execute("SELECT id FROM traders_trader LIMIT %s", [CLASSIC_TRADERS])
        ids = [trader_id for (trader_id,) in cursor.fetchall()]
        began = time.perf_counter()
        for trader_id in ids:
            cursor.execute("SELECT * FROM traders_traderday WHERE trader_id = %s", [trader_id])
            days = cursor.fetchall()
            cursor.execute("SELECT * FROM traders_roundtrip WHERE trader_id = %s", [trader_id])
            trips = cursor.fetchall()
            score = len(trips) / (1 + len(days))
            cursor.execute(
                "INSERT INTO classic_metric VALUES (%s, %s)"
                " ON CONFLICT (trader_id) DO UPDATE SET score = excluded.score",
                [trader_id, score],
            )
        took = time.perf_counter() - began
        cursor.execute("DROP TABLE classic_metric")
    return took / len(ids)


def remove() -> None:
    """Drop the boards of earlier rounds."""
    ranking.remove_unused()
