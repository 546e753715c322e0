"""What every IP has spent of its 1200 a minute, as the exchange counts it.

Weights after the published table: https://hyperliquid.gitbook.io, "Rate limits and user limits".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

WINDOW_SECONDS = 60.0
_LIGHT = frozenset(
    {
        "l2Book",
        "allMids",
        "clearinghouseState",
        "orderStatus",
        "spotClearinghouseState",
        "exchangeStatus",
    }
)
_BY_ROWS = frozenset({"recentTrades", "userFills", "userFillsByTime"})
ROWS_PER_WEIGHT = 20


def base_weight(request_type: str) -> int:
    """The weight of a request before its rows are known."""
    if request_type in _LIGHT:
        return 2
    return 60 if request_type == "userRole" else 20


def row_weight(request_type: str, rows: int) -> int:
    """What a reply's rows add."""
    return rows // ROWS_PER_WEIGHT if request_type in _BY_ROWS else 0


class Arrival(msgspec.Struct):
    """A request that arrived: `at` on the monotonic clock, in seconds."""

    at: float
    request_type: str
    weight: int
    refused: bool


class WeightLog:
    """One IP's arrivals in the sliding 60 s before each; refused ones are not charged."""

    def __init__(self, limit: int, now: Callable[[], float]) -> None:
        self._limit = limit
        self._now = now
        self.window: deque[Arrival] = deque()
        self.used = 0
        self.asked = 0
        self.max_used = 0
        self.max_asked = 0
        self.total = 0
        self.requests = 0
        self.refused = 0

    def _slide(self) -> None:
        oldest = self._now() - WINDOW_SECONDS
        while self.window and self.window[0].at <= oldest:
            gone = self.window.popleft()
            self.asked -= gone.weight
            if not gone.refused:
                self.used -= gone.weight

    def arrive(self, request_type: str) -> Arrival:
        """Charge a request, or mark it refused where it would exceed the limit."""
        self._slide()
        weight = base_weight(request_type)
        arrival = Arrival(self._now(), request_type, 0, self.used + weight > self._limit)
        self.requests += 1
        self.refused += arrival.refused
        self.window.append(arrival)
        self.add(arrival, weight)
        return arrival

    def add(self, arrival: Arrival, weight: int) -> None:
        """Charge a request more, for the rows of its reply."""
        arrival.weight += weight
        self.asked += weight
        self.max_asked = max(self.max_asked, self.asked)
        if not arrival.refused:
            self.total += weight
            self.used += weight
            self.max_used = max(self.max_used, self.used)

    def used_now(self) -> int:
        """Weight charged in the last 60 s."""
        self._slide()
        return self.used
