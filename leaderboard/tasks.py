"""The periodic ranking, run by the workers."""

from __future__ import annotations

import logging
import time

from django.conf import settings

from hlcopy.broadcast import notify
from hlcopy.configuration import Configuration
from hlcopy.periodic import NotYetError, database_now, periodic
from leaderboard import cache, ranking

logger = logging.getLogger(__name__)
#: The Channels message of a new board (`hlcopy.broadcast.notify`): `preset`, `updated_at`.
UPDATED = "leaderboard_updated"


@periodic(seconds=settings.CONFIGURATION.leaderboard_interval_seconds)
def rank_traders() -> dict[str, object]:
    """Rank all traders, publish the boards, and tell the cache and the browsers.

    Nobody can be ranked before the first pass of tracking: then the slot is run again until
    somebody was tracked, so that the first board is a ranked one. Afterwards an empty board is the
    truth about its window.
    """
    if not ranking.anyone():
        raise NotYetError("no trader has been tracked yet")
    configuration: Configuration = settings.CONFIGURATION
    preset, began = configuration.leaderboard_preset, time.monotonic()
    now = database_now()
    boards = ranking.publish(now, preset, configuration.weights)
    newest = max(board.pk for board in boards.values())
    cache.published(newest)
    notify(UPDATED, preset=preset, updated_at=now.isoformat().replace("+00:00", "Z"))
    summary: dict[str, object] = {
        "generation": newest,
        **{f"traders_{window}": board.traders for window, board in boards.items()},
        "seconds": round(time.monotonic() - began, 3),
        "removed": ranking.remove_unused(),
    }
    logger.info("leaderboard %s", " ".join(f"{name}={value}" for name, value in summary.items()))
    return summary
