"""Who is looked at before its turn, because a gap or a drift has made positions doubtful."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from traders import bulk, ledgers
from traders.cursors import Gap
from traders.models import Correction, FeedGap, Healing
from traders.writing import writing

logger = logging.getLogger(__name__)
#: So many traders corrected in one coin within five minutes mean that trades are missing.
DRIFTED = 3
DRIFT_SECONDS = 300
#: Rows of one short transaction.
AT_ONCE = 1_000
# Those corrected since the coin's last gap of this kind.
DRIFTING = """
SELECT coin, min(made.state_time_ms) - 1000 * %(seconds)s
FROM traders_correction AS made
WHERE coin = ANY(%(coins)s) AND cause = 'drift'
    AND corrected_at > statement_timestamp() - make_interval(secs => %(seconds)s)
    AND corrected_at > coalesce(
        (SELECT max(noted_at) FROM traders_feedgap WHERE coin = made.coin AND reason = 'drift'),
        '-infinity'
    )
GROUP BY coin HAVING count(DISTINCT trader_id) >= %(traders)s
"""
# Locked in the order of their addresses, as everywhere.
QUEUE = """
WITH next AS (
    SELECT trader.id FROM traders_trader AS trader
    JOIN traders_position AS held ON held.trader_id = trader.id AND held.coin = %(coin)s
    WHERE trader.id > %(behind)s AND trader.healing = '' AND trader.quarantined_at IS NULL
    ORDER BY trader.id LIMIT %(most)s
), locked AS (
    SELECT id FROM traders_trader WHERE id IN (SELECT id FROM next)
    ORDER BY address FOR NO KEY UPDATE
)
UPDATE traders_trader AS trader
SET healing = %(why)s, retry_at = least(trader.retry_at, statement_timestamp())
FROM locked WHERE trader.id = locked.id
RETURNING trader.id
"""


def note_drift(coins: Collection[str]) -> list[str]:
    """Write a gap for each coin that drifts; return them. Takes the cursors' locks, so no others.

    `coins`: those of corrections that are committed.
    """
    if not coins:
        return []
    parameters: dict[str, Any] = {
        "coins": sorted(coins),
        "seconds": DRIFT_SECONDS,
        "traders": DRIFTED,
    }
    with writing():
        cursors = ledgers.lock_cursors(coins)
        with connection.cursor() as cursor:
            cursor.execute(DRIFTING, parameters)
            drifting = dict(cursor.fetchall())
        gaps = [
            Gap(coin, from_ms, max(cursors[coin][0].newest_ms or 0, from_ms), "drift")
            for coin, from_ms in drifting.items()
        ]
        bulk.add_gaps(gaps)
        bulk.end_gaps_at({gap.coin: gap.to_ms for gap in gaps})
    for gap in gaps:
        logger.warning("coin=%s drifts: its positions are stale until they are seen", gap.coin)
    return [gap.coin for gap in gaps]


def note_every_drift() -> list[str]:
    """Do so for all coins: who wrote the last correction may have died right after it."""
    since = Now() - timedelta(seconds=DRIFT_SECONDS)
    recent = Correction.objects.filter(cause=Correction.Cause.DRIFT, corrected_at__gt=since)
    return note_drift(set(recent.values_list("coin", flat=True)))


def queue_holders() -> int:
    """Put everybody who holds a coin with a new gap into the healing queue; return how many."""
    queued = 0
    for gap in FeedGap.objects.filter(queued_at=None).order_by("id"):
        behind = 0
        while numbers := _queue(gap.coin, behind):
            queued += len(numbers)
            behind = max(numbers)
        FeedGap.objects.filter(pk=gap.pk).update(queued_at=Now())
    return queued


def _queue(coin: str, behind: int) -> list[int]:
    """Queue the next holders; return their numbers."""
    parameters: dict[str, Any] = {
        "coin": coin,
        "behind": behind,
        "most": AT_ONCE,
        "why": Healing.GAP,
    }
    with writing(), connection.cursor() as cursor:
        cursor.execute(QUEUE, parameters)
        return [number for (number,) in cursor.fetchall()]
