"""WebSocket connections: limits per IP, subscriptions, fan-out, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, Protocol

from simulator.config import Limits
from simulator.connection import Connection, Key
from simulator.connects import ConnectLog
from simulator.faults import NONE, Faults

EMPTY_EVERY = 211  # every so many frames, an empty trades array goes first


class FeedSource(Protocol):
    """What a subscription shows: the live market, or a recording."""

    def normalise(self, subscription: dict[str, Any]) -> dict[str, Any] | None:
        """The subscription as the server echoes it, or None if there is no such thing."""

    def first_frames(self, key: Key) -> list[str]:
        """What a new subscriber receives at once."""


class Hub:
    """All connections of one server."""

    def __init__(self, source: FeedSource, limits: Limits, now: Callable[[], float]) -> None:
        self.source = source
        self.limits = limits
        self.now = now
        self.faults: Faults = NONE
        self.connections: dict[int, Connection] = {}
        self.subscribers: dict[Key, set[Connection]] = defaultdict(set)
        self.connects: dict[str, ConnectLog] = {}
        self.messages: dict[str, deque[float]] = defaultdict(deque)
        self.connected_total = 0
        self.refused_total = 0
        self.frames_total = 0
        self._last_drop = time.monotonic()

    def refusal(self, ip: str) -> str | None:
        """Why an IP may not connect now, or None; counts the attempt."""
        if ip not in self.connects:
            self.connects[ip] = ConnectLog(self.limits.new_connections_per_minute, self.now)
        active = sum(c.ip == ip for c in self.connections.values())
        reason = None
        if not self.connects[ip].arrive():
            reason = "too many new connections"
        elif active >= self.limits.connections:
            reason = "too many connections"
        if reason is not None:
            self.refused_total += 1
        return reason

    def too_many_messages(self, ip: str) -> bool:
        """Whether an IP has sent more messages in a minute than it may; counts this one."""
        recent = self._recent(self.messages[ip])
        recent.append(self.now())
        return len(recent) > self.limits.messages_per_minute

    def _recent(self, times: deque[float]) -> deque[float]:
        while times and times[0] <= self.now() - 60.0:
            times.popleft()
        return times

    def subscriptions_of(self, ip: str) -> int:
        """Subscriptions over all connections of an IP."""
        return sum(len(c.keys) for c in self.connections.values() if c.ip == ip)

    def users_of(self, ip: str) -> set[str]:
        """Distinct users in user-specific subscriptions of an IP."""
        mine = (c for c in self.connections.values() if c.ip == ip)
        return {key[1] for c in mine for key in c.keys if key[1].startswith("0x")}

    def add(self, ip: str, transport: asyncio.Transport | None) -> Connection:
        """Register a connection."""
        self.connected_total += 1
        connection = Connection(self, self.connected_total, ip, transport)
        self.connections[connection.number] = connection
        connection.obey(self.faults)
        return connection

    def remove(self, connection: Connection) -> None:
        """Forget a connection."""
        self.connections.pop(connection.number, None)
        for key in connection.keys:
            self.subscribers[key].discard(connection)

    def publish(self, key: Key, frame: str) -> None:
        """Send a frame to the subscribers of a key."""
        subscribers = self.subscribers.get(key)
        if not subscribers:
            return
        self.frames_total += 1
        empty = key[0] == "trades" and self.frames_total % EMPTY_EVERY == 0
        for connection in subscribers:
            if empty:
                connection.deliver(key[1], '{"channel":"trades","data":[]}')
            connection.deliver(key[1], frame)

    def has_subscribers(self, key: Key) -> bool:
        """Whether a frame of this key would reach anybody."""
        return bool(self.subscribers.get(key))

    def set_faults(self, faults: Faults) -> None:
        """Put other faults in force."""
        self.faults = faults
        self._last_drop = time.monotonic()
        for connection in self.connections.values():
            connection.obey(faults)

    def drop(self, code: int, numbers: tuple[int, ...] = ()) -> int:
        """Close connections (all, or some): 1006 aborts without a close frame."""
        dropped = [c for n, c in self.connections.items() if not numbers or n in numbers]
        for connection in dropped:
            connection.close(code)
        return len(dropped)

    def tick(self) -> None:
        """Once a second or so: idle connections are closed, ordered drops happen."""
        idle = self.limits.idle_seconds
        for connection in list(self.connections.values()):
            if time.monotonic() - connection.last_sent > idle:
                connection.close(1000)
        every = self.faults.drop_every_seconds
        if every and time.monotonic() - self._last_drop >= every:
            self._last_drop = time.monotonic()
            self.drop(self.faults.drop_code, self.faults.connections)
