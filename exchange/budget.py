"""The budget's arithmetic: an exact sliding-window log of weight; pure, times are passed in.

The exchange counts a request when it *arrives*, somewhere between our reservation and the reply. So
an entry counts from its reservation until a window after the reply; unanswered, until a window
after the longest time an attempt can take. Then every request that arrived within any window was
counted at the moment the last of them was reserved, and their sum is at most the limit.

What would make the log lie closes the budget for longer than a window: a lost log (another run of
the server, a missing sentinel) and a stepped clock. ``budget.lua`` is the same arithmetic for
many processes (docs/decisions/0006); one table of tests runs against both.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

#: The exchange's window.
WINDOW_MS = 60_000
#: A clock may run this much ahead of the host's before it counts as stepped, plus 1 ms per second
#: for the slewing that time daemons do (500 ppm and a margin).
TOLERANCE_MS = 1_000
SLEW = 0.001
#: The longest pause that a Retry-After can order.
LONGEST_PAUSE_SECONDS = 600
#: After so long without a 429 the pauses start small again.
FORGIVEN_MS = 120_000


class Rules(msgspec.Struct, frozen=True):
    """What one log allows."""

    #: Weight in any window.
    limit: int
    #: The longest from a reservation to its reply or time-out: a permit waits 2 s, an attempt 15 s.
    hold_ms: int = 20_000
    #: How long to stay closed when the log cannot be trusted; 0 trusts it anyway.
    closed_ms: int = 65_000


class Status(StrEnum):
    """The answer to a reservation."""

    GRANTED = "granted"
    FULL = "full"
    CLOSED = "closed"
    PAUSED = "paused"
    #: The clock seems to have stepped forward: ask again, or close if the delay was not ours.
    SUSPECT = "suspect"


class Answer(msgspec.Struct, frozen=True):
    """``wait_ms`` until asking again makes sense; for SUSPECT, how far the clock is ahead."""

    status: Status
    wait_ms: int = 0


class Usage(msgspec.Struct, frozen=True):
    """What is counted now; ``peak`` is the most in the last hour, 0 ms is not closed or paused."""

    used: int
    closed_ms: int
    paused_ms: int
    peak: int
    http_429_total: int


class Budget:
    """One log. ``now`` is the log's clock, ``boot`` the asking host's monotonic one, both in ms."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        # (id, weight) -> when it stops counting.
        self.entries: dict[tuple[str, int], int] = {}
        # The run of the server that keeps the log: the sentinel. None: the log was lost.
        self.run: str | None = None
        self.last = 0
        self.closed = 0
        self.paused = 0
        self.streak = 0
        self.http_429_total = 0
        # Most used in a minute, by minute.
        self.peaks: dict[int, int] = {}
        # The smallest seen distance from a host's clock to ours, and when.
        self.offsets: dict[str, tuple[float, int]] = {}

    @property
    def used(self) -> int:
        """Weight that counts now."""
        return sum(weight for _, weight in self.entries)

    def _look(self, now: int, run: str) -> None:
        """Notice a lost log and a clock that went back; drop what no longer counts."""
        if self.run != run:
            self.run = run
            self.closed = now + self.rules.closed_ms
        elif now < self.last:
            # Nobody knows how long ago the entries really were: as if all were reserved now.
            until = now + self.rules.hold_ms + WINDOW_MS
            self.entries = dict.fromkeys(self.entries, until)
            left = self.paused - self.last
            self.paused = now + left if left > 0 else 0
            self.closed = now + self.rules.closed_ms
            self.peaks.clear()
        self.last = now
        self.entries = {entry: until for entry, until in self.entries.items() if until >= now}

    def open(self, now: int, run: str) -> None:
        """The caller asserts that nothing was spent in the last ``closed_ms``."""
        self._look(now, run)
        self.closed = 0

    def close(self, now: int, run: str, *, host: str, boot: int) -> None:
        """The caller saw the clock step: nothing that the log says can be trusted."""
        self._look(now, run)
        self.closed = now + self.rules.closed_ms
        self.offsets[host] = (now - boot, boot)

    def reserve(
        self, now: int, run: str, *, entry_id: str, weight: int, host: str = "", boot: int = 0
    ) -> Answer:
        """Room for ``weight``, or how long to wait; without ``host`` no clock is compared."""
        self._look(now, run)
        ahead = self._ahead(now, host, boot)
        if ahead > 0:
            return Answer(Status.SUSPECT, ahead)
        if self.closed > now:
            return Answer(Status.CLOSED, self.closed - now)
        if self.paused > now:
            return Answer(Status.PAUSED, self.paused - now)
        if (entry_id, weight) in self.entries:  # the reply to the first time was lost
            return Answer(Status.GRANTED)
        missing = self.used + weight - self.rules.limit
        if missing > 0:
            return Answer(Status.FULL, self._until_freed(missing) - now + 1)
        self.entries[entry_id, weight] = now + self.rules.hold_ms + WINDOW_MS
        self._note_peak(now)
        return Answer(Status.GRANTED)

    def settle(self, now: int, run: str, *, entry_id: str, weight: int, actual: int) -> None:
        """The attempt is over and weighed ``actual``; 0 if it was never sent.

        An entry that the log has lost is written anew, because its request did arrive.
        """
        self._look(now, run)
        self.entries.pop((entry_id, weight), None)
        if actual > 0:
            self.entries[entry_id, actual] = now + WINDOW_MS

    def pause(self, now: int, run: str, seconds: float | None) -> int:
        """HTTP 429: nobody sends for ``seconds``, or for 10, 20, 40, 60; returns the ms left."""
        self._look(now, run)
        self.http_429_total += 1
        if now - self.paused > FORGIVEN_MS:
            self.streak = 0
        if seconds is None:
            # Many requests that fail together are one refusal.
            if self.paused > now:
                return self.paused - now
            seconds = min(10 * 2**self.streak, 60)
            self.streak = min(self.streak + 1, 3)
        pause_ms = int(min(seconds, LONGEST_PAUSE_SECONDS) * 1000)
        self.paused = max(self.paused, now + pause_ms)
        return self.paused - now

    def usage(self, now: int, run: str) -> Usage:
        """What is counted now."""
        self._look(now, run)
        minute = now // 60_000
        return Usage(
            used=self.used,
            closed_ms=max(0, self.closed - now),
            paused_ms=max(0, self.paused - now),
            peak=max((peak for at, peak in self.peaks.items() if at > minute - 60), default=0),
            http_429_total=self.http_429_total,
        )

    def _ahead(self, now: int, host: str, boot: int) -> int:
        """By how many ms the clock is further ahead of the host's than it can be; 0 if it is not.

        A delayed question looks the same, so only who asked can tell; the record stays as it is.
        """
        if not host:
            return 0
        offset = now - boot
        known, at = self.offsets.get(host, (offset, boot))
        allowed = known + max(0, boot - at) * SLEW
        if offset > allowed + TOLERANCE_MS:
            return int(offset - allowed - TOLERANCE_MS) + 1
        self.offsets[host] = (min(offset, allowed), boot)
        return 0

    def _until_freed(self, weight: int) -> int:
        """When the entries that end first have freed ``weight``."""
        for (_, freed), until in sorted(self.entries.items(), key=lambda item: item[1]):
            weight -= freed
            if weight <= 0:
                return until
        raise ValueError("more weight than the limit allows")

    def _note_peak(self, now: int) -> None:
        minute = now // 60_000
        if minute not in self.peaks:
            self.peaks = {at: peak for at, peak in self.peaks.items() if at > minute - 60}
        self.peaks[minute] = max(self.peaks.get(minute, 0), self.used)
