"""What a client may say on `/ws/v1/updates`, and which events it then wants (pure)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from hlcopy.decimals import plain

MAX_MESSAGE_BYTES = 4096
MAX_LISTED = 100  # traders or coins in one filter
MAX_ID = 2**63 - 1
ADDRESS = re.compile(r"0x[0-9a-f]{40}")
NOTIONAL = re.compile(r"[0-9]{1,20}(\.[0-9]{1,18})?")
MAX_COIN = 32
KINDS = ("OPEN", "INCREASE", "DECREASE", "CLOSE")
ALLOWED = '{"type":"ping"}, {"type":"subscribe",...} and {"type":"resume","epoch","after"}'
BEFORE_DATA = '{"type":"trade_event","data":'

Topic = int | str | tuple[str, str]


class BadMessageError(Exception):
    """A client's message that is not understood; `code` and the text go back to the client."""

    def __init__(self, code: str, message: str) -> None:
        """Keep what the client is told."""
        self.code = code
        super().__init__(message)


class Entry(msgspec.Struct, frozen=True):
    """One event of the log: encoded once for every socket, and what filters ask about it."""

    id: int
    frame: str  # as a `trade_event` of its own
    data_end: int  # where the event itself ends in it
    trader_id: int
    trader_address: str
    coin: str
    kind: str
    notional: Decimal | None  # None is unknown

    @property
    def data(self) -> str:
        """The event itself, as an element of `trade_events`."""
        return self.frame[len(BEFORE_DATA) : self.data_end]

    def topics(self) -> tuple[Topic, ...]:
        """Return the topics under which the filters that may match are found."""
        return self.trader_id, self.trader_address, ("coin", self.coin), ("kind", self.kind)


@dataclass(frozen=True, slots=True)
class Ping:
    """`{"type":"ping"}`."""


@dataclass(frozen=True, slots=True)
class Resume:
    """`{"type":"resume","epoch","after"}`: all that matches behind event `after`."""

    epoch: str
    after: int


@dataclass(frozen=True, slots=True)
class Filter:
    """`{"type":"subscribe",...}`: an event must match every part that is not None.

    An event of unknown worth matches no `min_notional`.
    """

    traders: frozenset[int | str] | None = None  # ids and addresses
    coins: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    min_notional: Decimal | None = None
    batch: bool = False

    @property
    def everything(self) -> bool:
        """Whether every event matches."""
        parts = (self.traders, self.coins, self.kinds, self.min_notional)
        return all(part is None for part in parts)

    def wants(self, event: Entry) -> bool:
        """Return whether an event matches."""
        if (
            self.traders is not None
            and event.trader_id not in self.traders
            and event.trader_address not in self.traders
        ):
            return False
        if self.coins is not None and event.coin not in self.coins:
            return False
        if self.kinds is not None and event.kind not in self.kinds:
            return False
        return self.min_notional is None or (
            event.notional is not None and event.notional >= self.min_notional
        )

    def topics(self) -> Iterable[Topic]:
        """Return under what to look for this filter: each event that matches has one of them."""
        if self.traders is not None:
            return self.traders
        if self.coins is not None:
            return [("coin", coin) for coin in self.coins]
        return [("kind", kind) for kind in self.kinds or KINDS]

    def published(self) -> dict[str, object]:
        """Return the filter as its client is told."""
        return {
            "traders": None if self.traders is None else sorted(self.traders, key=str),
            "coins": None if self.coins is None else sorted(self.coins),
            "kinds": None if self.kinds is None else sorted(self.kinds, key=KINDS.index),
            "min_notional": None if self.min_notional is None else plain(self.min_notional),
            "batch": self.batch,
        }


EVERYTHING = Filter()


def read(text: str) -> Ping | Resume | Filter:
    """Return what a client's message means; raises BadMessageError for what is not understood."""
    try:
        message = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise BadMessageError("not_json", f"a message is one JSON object: {ALLOWED}") from None
    kind = message.pop("type", None) if isinstance(message, dict) else None
    if kind == "ping":
        return Ping()
    if kind == "resume":
        given = _fields(message, RESUME)
        if given.keys() != RESUME.keys():
            raise BadMessageError("bad_value", "resume needs both epoch and after")
        return Resume(**given)
    if kind == "subscribe":
        return Filter(**_fields(message, SUBSCRIBE))
    raise BadMessageError("unknown_type", f"only these are understood: {ALLOWED}")


def _fields(message: dict[str, Any], readers: dict[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """Return the fields that are not null, each read; raises BadMessageError."""
    if unknown := message.keys() - readers.keys():
        shown = ", ".join(sorted(name[:MAX_COIN] for name in unknown))
        raise BadMessageError("unknown_field", f"{shown}: the fields are {', '.join(readers)}")
    return {name: readers[name](value) for name, value in message.items() if value is not None}


def _refuse(name: str, allowed: str) -> BadMessageError:
    return BadMessageError("bad_value", f"{name}: {allowed}")


def _listed(name: str, most: int, allowed: str, read_one: Callable[[Any], Any]) -> Any:
    """Return what reads a list of at least one and at most `most` values."""
    words = f"a list of 1 to {most} of {allowed}; without the field all match"

    def read_list(value: Any) -> frozenset[Any]:
        if not (isinstance(value, list) and 1 <= len(value) <= most):
            raise _refuse(name, words)
        found = frozenset(read_one(one) for one in value)
        if None in found:
            raise _refuse(name, words)
        return found

    return read_list


def _trader(value: Any) -> int | str | None:
    if type(value) is int and 1 <= value <= MAX_ID:
        return value
    if isinstance(value, str) and ADDRESS.fullmatch(value.lower()):
        return value.lower()
    return None


def _coin(value: Any) -> str | None:
    if isinstance(value, str) and 1 <= len(value) <= MAX_COIN and value.isprintable():
        return value
    return None


def _kind(value: Any) -> str | None:
    return value if value in KINDS else None


def _min_notional(value: Any) -> Decimal:
    text = str(value) if type(value) in (int, str) else ""
    if not NOTIONAL.fullmatch(text):
        raise _refuse("min_notional", 'a decimal of at least 0 as text, such as "10000.5"')
    return Decimal(text)


def _batch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refuse("batch", "true or false")
    return value


def _epoch(value: Any) -> str:
    if not isinstance(value, str):
        raise _refuse("epoch", "the text of the connection frame")
    return value


def _after(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_ID:
        raise _refuse("after", f"the number of an event, 0 to {MAX_ID}")
    return value


RESUME: dict[str, Callable[[Any], Any]] = {"epoch": _epoch, "after": _after}
SUBSCRIBE: dict[str, Callable[[Any], Any]] = {
    "traders": _listed("traders", MAX_LISTED, "ids and addresses", _trader),
    "coins": _listed("coins", MAX_LISTED, f"names of up to {MAX_COIN} characters", _coin),
    "kinds": _listed("kinds", len(KINDS), ", ".join(KINDS), _kind),
    "min_notional": _min_notional,
    "batch": _batch,
}
