"""What the times of the coins' newest blocks say together (pure)."""

from __future__ import annotations

from collections.abc import Collection

#: A block further ahead of every other coin's is not believed (exchange milliseconds).
AHEAD_MS = 60_000


class BlockTimes:
    """The newest block that each coin claims.

    The host's clock may be wrong and a block may lie, so a time is judged by the other coins': one
    that is ahead of all of them does not count until a second coin comes near it.
    """

    def __init__(self) -> None:
        """Know of no block."""
        self._newest: dict[str, int] = {}
        # The coin with the newest block, and the newest of all others: asked at every frame.
        self._leader = ""
        self._second_ms: int | None = None

    def add(self, coin: str, time_ms: int) -> None:
        """Take in a block of the coin."""
        if time_ms <= self._newest.get(coin, 0):
            return
        self._newest[coin] = time_ms
        leader_ms = self._newest.get(self._leader)
        if leader_ms is None or (coin != self._leader and time_ms > leader_ms):
            self._leader, self._second_ms = coin, leader_ms
        elif coin != self._leader and time_ms > (self._second_ms or 0):
            self._second_ms = time_ms

    def keep_only(self, coins: Collection[str]) -> None:
        """Forget the other coins."""
        before, self._newest = self._newest, {}
        self._leader, self._second_ms = "", None
        for coin, time_ms in before.items():
            if coin in coins:
                self.add(coin, time_ms)

    def is_ahead(self, coin: str, time_ms: int) -> bool:
        """Return whether a time of this coin is far ahead of every other coin's."""
        leads = coin == self._leader
        others_ms = self._second_ms if leads else self._newest.get(self._leader)
        return others_ms is not None and time_ms > others_ms + AHEAD_MS

    @property
    def newest_ms(self) -> int | None:
        """The newest block that can be believed, None before the first."""
        newest_ms = self._newest.get(self._leader)
        if newest_ms is None or self._second_ms is None:
            return newest_ms
        return newest_ms if newest_ms - self._second_ms <= AHEAD_MS else self._second_ms
