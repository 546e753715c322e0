"""Fault orders: everything that goes wrong with the real exchange, on demand."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class View(msgspec.Struct, frozen=True):
    """How a reply shows an account: how old, how much older than it claims, or emptied."""

    delay_seconds: float = 0.0
    skew_seconds: float = 0.0
    empty: bool = False


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The faults in force; the default is none.

    WebSocket faults strike all connections, or those whose ids are in `connections`; faults of
    frames strike all coins, or those in `coins`. `*_every` n: every nth frame. REST faults strike
    every request, or each `rest_every`th, for all users or those in `rest_users`. A delayed state
    is old and says so; a skewed one is older than the `time` that it claims.
    """

    connections: tuple[int, ...] = ()
    coins: tuple[str, ...] = ()
    refuse_connections: bool = False
    connect_status: int = 0
    close_connections: bool = False
    silence: bool = False
    half_open: bool = False
    lose_blocks_every: int = 0
    late_blocks_every: int = 0
    late_blocks_by: int = 3
    duplicate_every: int = 0
    garbage_every: int = 0
    frames_delay_seconds: float = 0.0
    drop_every_seconds: float = 0.0
    drop_code: int = 1000

    rest_every: int = 1
    rest_users: tuple[str, ...] = ()
    rest_status: int = 0
    rest_slow_seconds: float = 0.0
    rest_truncated: bool = False
    rest_refuse: bool = False
    rest_delay_seconds: float | tuple[float, ...] = 0.0
    rest_skew_seconds: float = 0.0
    empty_accounts: bool = False

    def hits_connection(self, number: int) -> bool:
        """Whether a WebSocket fault strikes this connection."""
        return not self.connections or number in self.connections

    def hits_coin(self, coin: str) -> bool:
        """Whether a fault of frames strikes this coin."""
        return not self.coins or coin in self.coins

    def hits_request(self, count: int, user: str) -> bool:
        """Whether the REST faults strike the nth request, which asks for a user."""
        if self.rest_users and user not in {known.lower() for known in self.rest_users}:
            return False
        return count % max(1, self.rest_every) == 0

    def view(self, count: int) -> View:
        """How the nth reply shows an account; delays in a sequence take turns: T may go back."""
        delay = self.rest_delay_seconds
        if isinstance(delay, Sequence):
            delay = delay[count % len(delay)] if delay else 0.0
        return View(delay, self.rest_skew_seconds, self.empty_accounts)


NONE = Faults()
PLAIN = View()
GARBAGE = (
    "{not json",
    '{"channel":"trades","data":{"coin":"BTC"}}',
    '{"channel":"trades","data":[{"coin":"BTC","px":"NaN","sz":"-1","time":"soon"}]}',
    '{"channel":"neverHeardOf","data":[1,2,3]}',
    "[]",
    '{"channel":"trades","data":[{"coin":"BTC","side":"X","px":"1e400","sz":"1","tid":-1}]}',
    "null",
)
