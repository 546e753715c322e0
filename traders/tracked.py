"""Writes what a pass has fetched of one trader, and ends its lease."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from exchange.replies import AccountState
from traders import claims, healing, recording
from traders.claims import FIRST_RETRY_SECONDS, Claim
from traders.recording import Recorded
from traders.writing import writing


def record(
    claim: Claim,
    states: dict[str, AccountState],
    size_decimals: dict[str, int],
    fetched_at: datetime,
    followed: Collection[str] | None,
) -> Recorded | None:
    """Write a trader's snapshots and end its lease, in one transaction; None if it was lost."""
    with writing():
        healing_for = claims.healing_of(claim) if followed is None else None
        # The trader's row before its ledger's, as everywhere.
        if not claims.finish(claim):
            return None
        recorded = recording.record_snapshots(
            claim.trader_id,
            claim.address,
            states,
            size_decimals=size_decimals,
            fetched_at=fetched_at,
            followed=followed,
        )
        if again := healing_for or recorded.look_again:
            # Where the feed was behind nothing was judged, so nothing is healed.
            waits = recorded.look_after_seconds if followed is not None else FIRST_RETRY_SECONDS
            claims.look_again(claim.trader_id, again, seconds=waits)
    healing.note_drift({one.coin for one in recorded.corrections})
    return recorded
