"""For what share of a window the feed was carried, as each trader has it (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

DAY = timedelta(days=1)


class Carried:
    """How long the feed was carried in a window, up to now.

    `seconds` has those of each UTC day (ISO 8601) without a hole; what came before is unknown.
    `window_days` are counted back from today's midnight (None: the window has no beginning).
    """

    def __init__(
        self, seconds: Mapping[str, float], *, now: datetime, window_days: int | None
    ) -> None:
        """Add the days up from the last one, so that each trader takes one step."""
        self._now = now.astimezone(UTC)
        self._begins_at = None
        if window_days is not None:
            self._begins_at = _midnight(self._now.date()) - window_days * DAY
        # Of each day: its own seconds, and those of all later ones.
        self._days: dict[date, tuple[float, float]] = {}
        later = 0.0
        for day, carried in sorted(seconds.items(), reverse=True):
            known = date.fromisoformat(day)
            own = min(carried, self._passed(known, _midnight(known)))
            self._days[known] = own, later
            later += own

    def share(self, first_seen_at: datetime) -> float | None:
        """Return the share, 0 to 1, of the time since a trader was first seen, None if unknown.

        What was not carried of the first day is taken to lie before the trader was seen.
        """
        begins_at = first_seen_at.astimezone(UTC)
        if self._begins_at is not None:
            begins_at = max(begins_at, self._begins_at)
        elapsed = (self._now - begins_at).total_seconds()
        if elapsed <= 0 or begins_at.date() not in self._days:
            return None
        own, later = self._days[begins_at.date()]
        return min(1.0, (min(own, self._passed(begins_at.date(), begins_at)) + later) / elapsed)

    def _passed(self, day: date, since: datetime) -> float:
        """Return the seconds of a day that have passed since then."""
        return max(0.0, (min(_midnight(day) + DAY, self._now) - since).total_seconds())


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
