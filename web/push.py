"""The protocol of `/ws/v1/updates` without its sockets: frames, the ring, resuming (pure)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

import msgspec

from traders.published import PublishedEvent

MESSAGE = "hlcopy live updates: one trade_event for every change of a position"
PING = "ping"
MAX_MESSAGE_BYTES = 4096
MAX_MESSAGES_PER_SECOND = 10
ALLOWED = '{"type":"ping"}'


class BadMessageError(Exception):
    """A client's message that is not understood; `code` and the text go back to the client."""

    def __init__(self, code: str, message: str) -> None:
        """Keep what the client is told."""
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class LogState:
    """The event log at one moment: `oldest` is head + 1 where no event is kept."""

    epoch: str
    head: int
    oldest: int


@dataclass(frozen=True, slots=True)
class Start:
    """Where a socket begins: its first event is `after` + 1; `reset` says why not elsewhere."""

    after: int
    reset: str | None = None


def start(query: str, log: LogState) -> Start:
    """Decide where a socket begins, from the query of its URL (`epoch=...&after=...`).

    `reset` is `epoch` (the log was restored or begun anew), `ahead` (after is beyond the head),
    `expired` (the log no longer holds what was missed) or `invalid`; None without a wish.
    """
    wish = dict(parse_qsl(query, keep_blank_values=True, errors="replace"))
    if "after" not in wish:
        return Start(log.head)
    after = wish["after"]
    if not (after.isascii() and after.isdigit() and len(after) <= 19):
        return Start(log.head, "invalid")
    if wish.get("epoch") != log.epoch:
        return Start(log.head, "epoch")
    if int(after) > log.head:
        return Start(log.head, "ahead")
    if int(after) < log.oldest - 1:
        return Start(log.head, "expired")
    return Start(int(after))


class Ring:
    """The newest events as encoded frames, shared by all sockets; ids follow one another."""

    def __init__(self, size: int) -> None:
        """Keep at least the newest `size` frames, at most twice as many."""
        self._size = size
        self._frames: list[str] = []
        self.head = 0

    def restart(self, head: int) -> None:
        """Forget everything: the next event is head + 1."""
        self._frames.clear()
        self.head = head

    def extend(self, frames: Sequence[str]) -> None:
        """Add the frames of the events head + 1, head + 2 and so on."""
        self._frames.extend(frames)
        self.head += len(frames)
        # A slice of a list costs what it returns; cutting at twice the size makes cuts rare.
        if len(self._frames) > 2 * self._size:
            del self._frames[: -self._size]

    def after(self, cursor: int, limit: int) -> list[str] | None:
        """Return at most `limit` frames that follow event `cursor`; None if they fell out.

        A cursor beyond the head is that of a client which another process served: it waits.
        """
        missing = self.head - cursor
        if missing <= 0:
            return []
        if missing > len(self._frames):
            return None
        begin = len(self._frames) - missing
        return self._frames[begin : begin + limit]


class Allowance:
    """How many messages a client may still send in this second."""

    def __init__(self) -> None:
        """Begin with none sent."""
        self._sent: deque[float] = deque(maxlen=MAX_MESSAGES_PER_SECOND)

    def take(self, now: float) -> bool:
        """Count one message at the monotonic time `now`; False if it is one too many."""
        if len(self._sent) == self._sent.maxlen and now - self._sent[0] < 1:
            return False
        self._sent.append(now)
        return True


def read(text: str) -> str:
    """Return the type of a client's message; raises BadMessageError for what is not understood."""
    try:
        message = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise BadMessageError(
            "not_json", f"a message is one JSON object such as {ALLOWED}"
        ) from None
    kind = message.get("type") if isinstance(message, dict) else None
    if kind != PING:
        raise BadMessageError("unknown_type", f"only {ALLOWED} is understood")
    return PING


def trade_event(event: PublishedEvent, now: datetime) -> str:
    """Return the frame of one event."""
    return _frame({"type": "trade_event", "data": event, "timestamp": now})


def connection(log: LogState, now: datetime) -> str:
    """Return a socket's first frame: where the log stands."""
    return _frame(
        {
            "type": "connection",
            "message": MESSAGE,
            "timestamp": now,
            "epoch": log.epoch,
            "head": log.head,
            "oldest": log.oldest,
        }
    )


def reset(reason: str, log: LogState, now: datetime) -> str:
    """Return the frame that says: events are missing, read again; the next is head + 1."""
    return _frame(
        {
            "type": "reset",
            "reason": reason,
            "epoch": log.epoch,
            "head": log.head,
            "oldest": log.oldest,
            "timestamp": now,
        }
    )


def heartbeat(head: int, upto: int, now: datetime) -> str:
    """Return the frame of every 15 s: all up to `upto` was written to this socket."""
    return _frame({"type": "heartbeat", "head": head, "upto": upto, "timestamp": now})


def pong(now: datetime) -> str:
    """Return the answer to a ping."""
    return _frame({"type": "pong", "timestamp": now})


def error(code: str, message: str) -> str:
    """Return the answer to a bad message."""
    return _frame({"type": "error", "code": code, "message": message})


def _frame(content: dict[str, object]) -> str:
    return msgspec.json.encode(content).decode()
