"""The frames of `/ws/v1/updates`, the ring of the newest events, and resuming (pure)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from urllib.parse import parse_qsl

import msgspec

from traders.published import PublishedEvent
from web.filters import BEFORE_DATA, Entry, Filter, Resume

MESSAGE = "hlcopy live updates: one trade_event for every change of a position"
MAX_MESSAGES_PER_SECOND = 10


@dataclass(frozen=True, slots=True)
class LogState:
    """The event log at one moment: `oldest` is head + 1 where no event is kept."""

    epoch: str
    head: int
    oldest: int


def entry(event: PublishedEvent, now: datetime) -> Entry:
    """Encode one event."""
    begin = BEFORE_DATA + msgspec.json.encode(event).decode()
    return Entry(
        id=event.id,
        frame=f'{begin},"timestamp":{_text(now)}}}',
        data_end=len(begin),
        trader_id=event.trader_id,
        trader_address=event.trader_address,
        coin=event.coin,
        kind=event.event_type,
        notional=None if event.notional is None else Decimal(event.notional),
    )


def trade_events(entries: Sequence[Entry], now: datetime) -> str:
    """Return the one frame of several events."""
    data = ",".join([entry.data for entry in entries])
    return f'{{"type":"trade_events","data":[{data}],"timestamp":{_text(now)}}}'


@dataclass(frozen=True, slots=True)
class Start:
    """Where a socket goes on: its next event is `after` + 1; `reset` says why not elsewhere."""

    after: int
    reset: str | None = None


def start(query: str, log: LogState) -> Start:
    """Decide where a socket begins, from the query of its URL (`epoch=...&after=...`).

    As `resume`, or `invalid` where `after` is no number; at the head without a wish.
    """
    wish = dict(parse_qsl(query, keep_blank_values=True, errors="replace"))
    if "after" not in wish:
        return Start(log.head)
    after = wish["after"]
    if not (after.isascii() and after.isdigit() and len(after) <= 19):
        return Start(log.head, "invalid")
    return resume(Resume(wish.get("epoch", ""), int(after)), log)


def resume(wish: Resume, log: LogState) -> Start:
    """Decide where a socket goes on that asks for what follows an event.

    `reset` is `epoch` (the log was restored or begun anew), `ahead` (after is beyond the head) or
    `expired` (the log no longer holds what was missed).
    """
    if wish.epoch != log.epoch:
        return Start(log.head, "epoch")
    if wish.after > log.head:
        return Start(log.head, "ahead")
    if wish.after < log.oldest - 1:
        return Start(log.head, "expired")
    return Start(wish.after)


class Ring:
    """The newest events, shared by all sockets; ids follow one another."""

    def __init__(self, size: int) -> None:
        """Keep at least the newest `size` events, at most twice as many."""
        self._size = size
        self._entries: list[Entry] = []
        self.head = 0

    def restart(self, head: int) -> None:
        """Forget everything: the next event is head + 1."""
        self._entries.clear()
        self.head = head

    def extend(self, entries: Sequence[Entry]) -> None:
        """Add the events head + 1, head + 2 and so on."""
        self._entries.extend(entries)
        self.head += len(entries)
        # A slice of a list costs what it returns; cutting at twice the size makes cuts rare.
        if len(self._entries) > 2 * self._size:
            del self._entries[: -self._size]

    def reaches(self, cursor: int) -> bool:
        """Return whether every event after `cursor` is here."""
        return self.head - cursor <= len(self._entries)

    def after(self, cursor: int, limit: int) -> list[Entry] | None:
        """Return at most `limit` events that follow event `cursor`; None if they fell out.

        A cursor beyond the head is that of a client which another process served: it waits.
        """
        missing = self.head - cursor
        if missing <= 0:
            return []
        if missing > len(self._entries):
            return None
        begin = len(self._entries) - missing
        return self._entries[begin : begin + limit]


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


def connection(log: LogState, now: datetime) -> str:
    """Return a socket's first frame: where the log stands."""
    return _frame({"type": "connection", "message": MESSAGE, "timestamp": now, **_state(log)})


def reset(reason: str, log: LogState, now: datetime) -> str:
    """Return the frame that says: events are missing, read again; the next is head + 1."""
    return _frame({"type": "reset", "reason": reason, **_state(log), "timestamp": now})


def resumed(after: int, log: LogState, now: datetime) -> str:
    """Return the answer to a resume: the next event is the first that matches behind `after`."""
    return _frame({"type": "resumed", "after": after, **_state(log), "timestamp": now})


def subscribed(wanted: Filter, upto: int, now: datetime) -> str:
    """Return the answer to a subscribe: from event `upto` + 1 on this filter holds."""
    return _frame({"type": "subscribed", **wanted.published(), "upto": upto, "timestamp": now})


def heartbeat(head: int, upto: int, now: datetime) -> str:
    """Return the frame of every 15 s: all that match up to `upto` were written to this socket."""
    return _frame({"type": "heartbeat", "head": head, "upto": upto, "timestamp": now})


def leaderboard_updated(preset: str, updated_at: str, now: datetime) -> str:
    """Return the frame that says: there is a new leaderboard."""
    content = {"preset": preset, "updated_at": updated_at}
    return _frame({"type": "leaderboard_updated", **content, "timestamp": now})


def notice(message: str, now: datetime) -> str:
    """Return the frame of what an operator has to say to everyone."""
    return _frame({"type": "notice", "message": message, "timestamp": now})


def pong(now: datetime) -> str:
    """Return the answer to a ping."""
    return _frame({"type": "pong", "timestamp": now})


def error(code: str, message: str) -> str:
    """Return the answer to a bad message."""
    return _frame({"type": "error", "code": code, "message": message})


def _state(log: LogState) -> dict[str, object]:
    return {"epoch": log.epoch, "head": log.head, "oldest": log.oldest}


def _frame(content: dict[str, object]) -> str:
    return msgspec.json.encode(content).decode()


def _text(now: datetime) -> str:
    return msgspec.json.encode(now).decode()
