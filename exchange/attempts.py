"""When the next attempt to connect may be made; pure, times are passed in.

The exchange allows 30 new connections a minute per IP and counts each attempt that reaches it, also
one that it refuses. Two rules share them, so that no outage uses up what its end needs:

- One attempt every 2.8 s, always. So the next one is never further away, whatever was.
- For ten seconds after one that worked, others may follow at once, as many as leave the first rule
  possible for ever: every socket comes back together. A failure ends this.

``attempts.lua`` is the same arithmetic for many processes (docs/decisions/0022); one table of tests
runs against both.
"""

from __future__ import annotations

import msgspec

from exchange.budget import WINDOW_MS


class Pacing(msgspec.Struct, frozen=True):
    """How many attempts are allowed."""

    #: In any window.
    limit: int = 30
    #: Reconnect within 5 s: the rest is for subscribing.
    every_ms: int = 2_800
    #: How long others may follow one that worked: longer than the longest back-off.
    open_ms: int = 10_000
    #: The longest from the permission to the arrival: an attempt gives up then.
    hold_ms: int = 10_000

    @property
    def counts_ms(self) -> int:
        """What arrives within a window was permitted within this time."""
        return WINDOW_MS + self.hold_ms


class Attempts:
    """What was allowed and what came of it; ``now`` is one clock in ms.

    A time that lies ahead (the clock went back) is forgotten, so it holds nobody up.
    """

    def __init__(self, pacing: Pacing) -> None:
        self.pacing = pacing
        self.paced_at: int | None = None
        self.worked_at: int | None = None
        # Until when each attempt counts, the oldest first.
        self.log: list[int] = []

    def ask(self, now: int) -> int:
        """0: connect now, which counts. Else how many ms until asking again must succeed."""
        pacing = self.pacing
        until = now + pacing.counts_ms
        log = [*(end for end in self.log if now < end <= until), until]
        paced_at = self.paced_at
        if paced_at is None or not 0 <= now - paced_at < pacing.every_ms:
            self.paced_at = now
        elif not self._is_open(now) or not self._leaves_the_pace(log, paced_at):
            return paced_at + pacing.every_ms - now
        self.log = log
        return 0

    def ended(self, now: int, *, works: bool) -> None:
        """An attempt has led to a connection that works, or failed."""
        self.worked_at = now if works else None

    def _is_open(self, now: int) -> bool:
        return self.worked_at is not None and 0 <= now - self.worked_at < self.pacing.open_ms

    def _leaves_the_pace(self, log: list[int], paced_at: int) -> bool:
        """Whether the limit holds all attempts of ``log`` and one in every pace besides.

        The most count just before one of them ends.
        """
        return all(
            len(log) - place + (until - paced_at - 1) // self.pacing.every_ms <= self.pacing.limit
            for place, until in enumerate(log)
        )
