"""When a socket is dead, and how long to wait before the next; pure.

A socket can be open and yet deliver nothing, as a whole or for one coin (half-open TCP, a stuck
channel); both have been seen on the real exchange. Times are monotonic seconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import msgspec


class Patience(msgspec.Struct, frozen=True):
    """How much silence is too much, in seconds."""

    ping_after: float = 15
    #: A ping is answered at once; who needs longer may have left out more than the answer.
    answer_within: float = 5
    #: A stall is to be seen within 30 s: to look and to write it down takes up to one of them.
    reconnect_after: float = 29
    coin_after: float = 60
    #: Coins that always trade: silence of one while others flow is a stuck channel.
    liquid: tuple[str, ...] = ("BTC", "ETH")
    #: A connection that has delivered for this long was healthy: the back-off starts anew.
    healthy_after: float = 10


class Liveness:
    """Watches one connection from its first second."""

    def __init__(self, patience: Patience, now: float) -> None:
        self.patience = patience
        self.connected_at = now
        # The last frame of any kind, pongs included.
        self.last_frame_at = now
        # Since when the reader waits for a frame; None while it is busy with the last one, when
        # silence would be its own.
        self._waiting_since: float | None = None
        self._pinged_at = now
        # The last trade of each liquid coin, from its subscription on, and of any other coin.
        self._liquid_at: dict[str, float] = {}
        self._others_at = now

    def waits(self, now: float) -> None:
        """The reader begins to wait for the next frame."""
        self._waiting_since = now

    def frame(self, now: float) -> None:
        """Any frame arrived."""
        self._waiting_since = None
        self.last_frame_at = now

    def trades(self, coin: str, now: float) -> None:
        """A trades frame of ``coin`` arrived."""
        if coin in self.patience.liquid:
            self._liquid_at[coin] = now
        else:
            self._others_at = now

    def was_deaf(self, now: float) -> bool:
        """A frame arrives now, and our ping had been without an answer for too long before it.

        What the server meant to send meanwhile may never come: only a new replay can tell.
        """
        too_long = self.patience.ping_after + self.patience.answer_within
        return self._pinged_at > self.last_frame_at and now - self.last_frame_at >= too_long

    def is_dead(self, now: float) -> bool:
        """Nothing arrived for so long, our ping's answer included, that only a new socket helps."""
        waiting = self._waiting_since
        return waiting is not None and now - waiting >= self.patience.reconnect_after

    def wants_ping(self, now: float) -> bool:
        """True once in each ``ping_after`` seconds of silence; the ping counts as sent."""
        quiet_since = max(self.last_frame_at, self._pinged_at)
        if now - quiet_since < self.patience.ping_after:
            return False
        self._pinged_at = now
        return True

    def silent_coin(self, live: set[str], now: float) -> str | None:
        """A liquid coin of ``live`` without trades while others flow; it is given time anew."""
        for coin in self.patience.liquid:
            if coin not in live:
                self._liquid_at.pop(coin, None)
                continue
            since = self._liquid_at.setdefault(coin, now)
            flowing_at = max(
                self._others_at,
                *(at for other, at in self._liquid_at.items() if other != coin),
                self.connected_at,
            )
            if now - since >= self.patience.coin_after and flowing_at > since:
                self._liquid_at[coin] = now
                return coin
        return None

    @property
    def was_healthy(self) -> bool:
        """True once the connection has delivered frames for ``healthy_after`` seconds."""
        return self.last_frame_at - self.connected_at >= self.patience.healthy_after


def full_jitter(
    *,
    first_seconds: float = 0.5,
    cap_seconds: float = 4,
    uniform: Callable[[float, float], float] = random.uniform,
) -> Iterator[float]:
    """Delays before each new attempt: anything from 0 to a ceiling that doubles up to the cap.

    Full jitter spreads the reconnects of all sockets best (AWS Architecture Blog, "Exponential
    Backoff And Jitter").
    """
    ceiling = first_seconds
    while True:
        yield uniform(0, ceiling)
        ceiling = min(2 * ceiling, cap_seconds)
