"""The periodic work on traders, run by the workers."""

from __future__ import annotations

from dataclasses import asdict

import msgspec
from asgiref.sync import async_to_sync
from django.conf import settings

from exchange.errors import BudgetClosed
from exchange.info import InfoClient
from exchange.shared_budget import SharedBudget
from hlcopy import measurements
from hlcopy.configuration import Configuration
from hlcopy.periodic import database_now, periodic
from hlcopy.slots import until_next
from traders import coins, healing, measuring, retention, tracking, waiting
from traders.fetching import STATE_WEIGHT
from traders.pass_limits import Limits, Summary

#: A pass ends so long before the next slot begins, or a tenth of its interval where that is less.
MARGIN_SECONDS = 2
#: A second look is due after five seconds; a round may outlast its slot: it waits for the feed.
HEAL_SECONDS = 5
HEAL_FOR_SECONDS = 30.0


@periodic(seconds=settings.CONFIGURATION.tracking_interval_seconds)
def track_traders() -> dict[str, object]:
    """Run one pass of batched tracking over the traders that are due."""
    retention.make_room()
    return asdict(async_to_sync(track)(seconds_left()))


@periodic(seconds=HEAL_SECONDS)
def heal_traders() -> dict[str, object]:
    """Look at those whose positions are in doubt, with the budget that the passes leave."""
    healing.note_every_drift()
    queued = healing.queue_holders()
    weight = healing_weight(settings.CONFIGURATION)
    summary = async_to_sync(track)(HEAL_FOR_SECONDS, weight=weight, rotates=False)
    return {"queued": queued, **asdict(summary)}


def healing_weight(configuration: Configuration) -> int:
    """Return what the passes leave of the budget for one round of healing; one account's at least.

    They may take `TRACKING_WEIGHT_PER_PASS` in each interval (docs/operations.md).
    """
    interval = configuration.tracking_interval_seconds
    of_passes = configuration.tracking_weight_per_pass * 60 / interval
    left = max(0.0, configuration.hyperliquid_weight_per_minute - of_passes)
    return max(STATE_WEIGHT, int(left * HEAL_SECONDS / 60))


def seconds_left() -> float:
    """Return how long a pass may take that begins now."""
    interval = settings.CONFIGURATION.tracking_interval_seconds
    left = until_next(database_now(), interval).total_seconds()
    return max(0.0, left - min(MARGIN_SECONDS, interval / 10))


async def track(seconds: float, *, weight: int | None = None, rotates: bool = True) -> Summary:
    """Run a pass with the configured exchange and its shared budget."""
    configuration: Configuration = settings.CONFIGURATION
    limits = Limits(
        batch_size=configuration.tracking_batch_size,
        weight=configuration.tracking_weight_per_pass if weight is None else weight,
        seconds=seconds,
        dexes=coins.configured_dexes(configuration.hyperliquid_coins),
        # The other half is for replies that take long.
        spread_seconds=seconds / 2 if rotates else 0,
        rotates=rotates,
    )
    async with (
        SharedBudget(
            settings.REDIS_URL,
            per_minute=configuration.hyperliquid_weight_per_minute,
            max_wait_seconds=max(1.0, seconds - MARGIN_SECONDS),
        ) as budget,
        InfoClient(configuration.hyperliquid_api_url, budget=budget) as info,
    ):
        return await tracking.run_pass(info, limits)


@periodic(seconds=600)
def expire_history() -> dict[str, object]:
    """Make the next partitions of events and snapshots, and drop those that are old."""
    configuration: Configuration = settings.CONFIGURATION
    return retention.drop_old(
        database_now(),
        event_days=configuration.event_retention_days,
        snapshot_days=configuration.snapshot_retention_days,
    )


@periodic(seconds=300)
def let_go_of_fills() -> dict[str, object]:
    """Let go of fills that have waited too long for their trader's base."""
    return {"fills": waiting.let_go()}


@periodic(seconds=86_400)
def fold_days() -> dict[str, object]:
    """Fold the days older than the longest window into one row of each trader."""
    return {"rows_saved": retention.fold_days(database_now().date())}


@periodic(seconds=5)
def measure_weight() -> dict[str, object]:
    """Store what the shared budget has counted; with Redis away it stays as old as it is."""
    try:
        values = async_to_sync(weight)()
    except BudgetClosed as closed:
        return {"unknown": str(closed)}
    measurements.store("weight", values)
    return values


async def weight() -> dict[str, object]:
    """Return the usage of the budget that all processes share."""
    per_minute = settings.CONFIGURATION.hyperliquid_weight_per_minute
    async with SharedBudget(settings.REDIS_URL, per_minute=per_minute) as budget:
        return msgspec.structs.asdict(await budget.usage()) | {"configured": per_minute}


@periodic(seconds=60)
def measure_rotation() -> dict[str, object]:
    """Store how long the traders wait for their turn."""
    values = measuring.rotation()
    measurements.store("rotation", values)
    return values


@periodic(seconds=settings.CONFIGURATION.leaderboard_interval_seconds)
def count_active_traders() -> dict[str, object]:
    """Store how many traders have traded within seven days."""
    values: dict[str, object] = {"active": measuring.active_traders()}
    measurements.store("active_traders", values)
    return values
