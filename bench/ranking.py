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
from leaderboard.metrics import WINDOWS

PROMISED_SECONDS = 5.0
CLASSIC_TRADERS = 2_000
# Two days of everyone: one of this week and one of the last four months, so that all are in every
# window and each window tells something else. They lie as they were written: by time. The feed has
# told them, some while positions were unknown.
DAYS = """
INSERT INTO traders_traderday (
    trader_id, day, volume_usd, events, closed, wins, losses, gross_profit, gross_loss,
    fills, taker_volume_usd, unknown_volume_usd, wash_volume_usd, held_ms, completed,
    best_trip_pnl, worst_trip_pnl, estimated_events, estimated_volume_usd,
    realised_gross, fees, equity_open, equity_close, equity_min, equity_max,
    nav_open, nav_close, nav_min, nav_max, net_flow, snapshots)
SELECT id, current_date - ago, round((random() * 1e6)::numeric, 4), 5, 2,
       (random() * 2)::int, (random() * 2)::int, round((random() * 1e3)::numeric, 4),
       round((random() * 1e3)::numeric, 4), 40, round((random() * 1e5)::numeric, 4),
       CASE WHEN random() < .2 THEN round((random() * 1e4)::numeric, 4) ELSE 0 END, 0, 600000, 2,
       round((random() * 1e3)::numeric, 4), round((random() * -1e3)::numeric, 4), 0, 0,
       round((random() * 1e3 - 500)::numeric, 4), 3.5,
       1000, 1010, 990, 1020, 1, round((0.9 + random() / 5)::numeric, 6), 0.9, 1.15, 0, 2
  FROM (SELECT id, (random() * 6)::int AS ago FROM traders_trader
         UNION ALL
        SELECT id, (8 + random() * 112)::int FROM traders_trader) AS day
 ORDER BY ago DESC, random()
"""


def load() -> None:
    """Give everyone of the million a history."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE traders_trader SET last_tracked_at = now(), quarantined_at = NULL")
        cursor.execute(DAYS)
        for table in ("traders_trader", "traders_traderday"):
            cursor.execute(f"VACUUM ANALYZE {table}")


class Watch:
    """What the parts of one publication took, in seconds: adding up, and each window's board."""

    def __init__(self) -> None:
        """Begin now."""
        self.parts: list[float] = []
        self._since = time.perf_counter()

    def __call__(self, execute: Any, sql: str, *arguments: Any) -> Any:
        """Run a statement; some are the last of their part."""
        result = execute(sql, *arguments)
        if "TABLE leaderboard_tally AS" in sql or "ATTACH PARTITION" in sql:
            now = time.perf_counter()
            self.parts.append(now - self._since)
            self._since = now
        return result


def bench(server_cpu_seconds: Callable[[], float]) -> list[Promise]:
    """Print what each part of the job takes; return what was promised of it."""
    load()
    weights = PRESETS["classic"]
    parts: list[list[float]] = []

    def publish() -> int:
        watch = Watch()
        with connection.execute_wrapper(watch):
            boards = ranking.publish(utc_now(), "classic", weights)
        parts.append(watch.parts)
        return min(board.traders for board in boards.values()) // 1_000_000

    ours = Option("published", publish, afterwards=remove)
    compare([ours], rounds=3, server_cpu_seconds=server_cpu_seconds)
    added, *boards = (statistics.median(part) for part in zip(*parts[1:], strict=True))
    whole = statistics.median(ours.wall)
    classic = classic_seconds_for_each() * 1_000_000 * len(WINDOWS)
    print(f"{'2,000,000 days added up':56}{added:8.2f} s")
    for window, seconds in zip(WINDOWS, boards, strict=True):
        print(f"{f'window {window}: scored, ranked, stored, indexed, shown':56}{seconds:8.2f} s")
    print(f"{'all of it':56}{whole:8.2f} s, server CPU {statistics.median(ours.server_cpu):.2f} s")
    print(f"{'one by one, 2 queries and a save each (extrapolated)':56}{classic:8.0f} s")
    return [
        Promise(
            f"1,000,000 traders scored and stored within {PROMISED_SECONDS:.0f} s",
            f"the slowest window {max(boards):.2f} s, once their days are added up",
            max(boards) <= PROMISED_SECONDS,
        ),
        Promise(
            f"the whole job, {len(WINDOWS)} windows added up and stored, within"
            f" {PROMISED_SECONDS:.0f} s",
            f"{whole:.2f} s, of which {added:.2f} s add up ({classic / whole:.0f} times the"
            " classic way)",
            whole <= PROMISED_SECONDS,
        ),
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
