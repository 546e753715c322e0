"""The attempts to connect that reached the exchange, per IP, as it counts them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from simulator.weights import WINDOW_SECONDS


class Attempt(msgspec.Struct, frozen=True):
    """A new connection that was asked for: `at` on the monotonic clock, in seconds."""

    at: float
    over_limit: bool


class ConnectLog:
    """One IP's attempts in the sliding 60 s before each; those over the limit are not charged.

    An attempt counts whatever becomes of it: a fault that refuses it, or closes it at once, too.
    """

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        self._limit = limit
        self._now = now
        self.window: deque[Attempt] = deque()
        self.max_asked = 0
        self.total = 0
        self.over_limit = 0

    def _slide(self) -> None:
        while self.window and self.window[0].at <= self._now() - WINDOW_SECONDS:
            self.window.popleft()

    def arrive(self) -> bool:
        """Count an attempt; whether it is within the limit."""
        self._slide()
        charged = sum(not attempt.over_limit for attempt in self.window)
        attempt = Attempt(self._now(), charged >= self._limit)
        self.window.append(attempt)
        self.total += 1
        self.over_limit += attempt.over_limit
        self.max_asked = max(self.max_asked, len(self.window))
        return not attempt.over_limit

    def shown(self) -> dict[str, Any]:
        """What is known of it."""
        self._slide()
        return {
            "in_last_60s": len(self.window),
            "max_in_any_60s": self.max_asked,
            "total": self.total,
            "over_limit": self.over_limit,
            "arrivals": list(self.window),
        }
