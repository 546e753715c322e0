"""What one socket is subscribed to: wishes, messages to send, answers matched; pure.

A subscription is *wanted* until taken back, *pending* from our message to the server's answer,
*confirmed* by an ack, *refused* by "Invalid subscription". An answer that stays away is asked for
again; "Already subscribed" then says that it was lost, and trades' replay perhaps with it, so they
are taken back and asked for anew. Sending is paced: the exchange allows 2,000 messages a minute per
IP over all sockets, and subscribing in a rush has closed sockets.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec

from exchange.numbers import printable
from exchange.wire import Ack, ErrorFrame, Frame, TradesFrame


class Subscription(msgspec.Struct, frozen=True, omit_defaults=True):
    """One feed: ``Subscription("trades", coin="BTC")``. Encodes to what the exchange expects."""

    type: str
    coin: str | None = None
    dex: str | None = None
    user: str | None = None


class Pace(msgspec.Struct, frozen=True):
    """How fast messages leave one socket."""

    #: A socket that is back carries 240 coins after 2.4 s.
    spacing_seconds: float = 0.01
    #: Two sockets and their pings stay below the 2,000 that the exchange allows.
    per_minute: int = 900
    #: An answer that stays away this long is asked for again.
    resend_seconds: float = 10


class Subscriptions:
    """The state of one socket's subscriptions; ``now`` is a monotonic clock in seconds."""

    def __init__(self, wanted: Iterable[Subscription] = (), *, pace: Pace | None = None) -> None:
        self.pace = pace or Pace()
        self.wanted: set[Subscription] = set(wanted)
        # Asked for, with the time of the last message; survives until answered.
        self.pending: dict[Subscription, float] = {}
        self.leaving: dict[Subscription, float] = {}
        self.confirmed: set[Subscription] = set()
        # Why the server will not have it; asked again on the next connection.
        self.refused: dict[Subscription, str] = {}
        # Coins whose next trades frame is the replay that follows a subscribe.
        self._replay_due: set[str] = set()
        # To be taken back and asked for anew, because it fell silent.
        self._renewing: set[Subscription] = set()
        # Renewed on this connection because an answer was lost: once is enough.
        self._made_good: set[Subscription] = set()
        self._sent: deque[float] = deque()

    def disconnected(self) -> None:
        """Forget what the lost connection knew; wishes stay."""
        self.pending.clear()
        self.leaving.clear()
        self.confirmed.clear()
        self.refused.clear()
        self._replay_due.clear()
        self._renewing.clear()
        self._made_good.clear()

    def want(self, wanted: Iterable[Subscription]) -> None:
        """Replace the wishes; the difference goes out with the next messages."""
        self.wanted = set(wanted)
        self.refused = {
            subscription: reason
            for subscription, reason in self.refused.items()
            if subscription in self.wanted
        }

    def renew(self, coin: str) -> None:
        """Unsubscribe and subscribe a coin's trades again, without touching the other coins."""
        subscription = Subscription("trades", coin=coin)
        if subscription in self.confirmed:
            self._renewing.add(subscription)

    def next_message(self, now: float) -> bytes | None:
        """The message to send now, counted as sent; ``None`` if none is due or allowed yet."""
        if self.wait(now) > 0:
            return None
        due = self._due(now)
        if due is None:
            return None
        method, subscription = due
        self._sent.append(now)
        if method == "unsubscribe":
            self.leaving[subscription] = now
        else:
            if subscription not in self.pending and subscription.type == "trades":
                # A repeated message must not make a live frame look like the replay.
                self._replay_due.add(subscription.coin or "")
            self.pending[subscription] = now
        return msgspec.json.encode({"method": method, "subscription": subscription})

    def wait(self, now: float) -> float:
        """Seconds until pacing allows another message; 0 at once."""
        while self._sent and self._sent[0] <= now - 60:
            self._sent.popleft()
        if not self._sent:
            return 0
        wait = self._sent[-1] + self.pace.spacing_seconds - now
        if len(self._sent) >= self.pace.per_minute:
            wait = max(wait, self._sent[0] + 60 - now)
        return max(0, wait)

    def _due(self, now: float) -> tuple[str, Subscription] | None:
        """The next (method, subscription) to send: first those never asked, then the unanswered."""
        unwanted = self.confirmed - (self.wanted - self._renewing) - self.leaving.keys()
        if unwanted:
            return "unsubscribe", min(unwanted, key=_order)
        unasked = self.wanted - self.confirmed - self.pending.keys() - self.refused.keys()
        if unasked:
            return "subscribe", min(unasked, key=_order)
        for method, asked in (("subscribe", self.pending), ("unsubscribe", self.leaving)):
            for subscription, at in asked.items():
                if now - at >= self.pace.resend_seconds:
                    return method, subscription
        return None

    @property
    def live(self) -> set[Subscription]:
        """The subscriptions that the server has acknowledged and we are not taking back."""
        return self.confirmed - self.leaving.keys()

    def received(self, frame: Frame) -> bool:
        """Learn from a frame; True if it is the replay that follows a subscribe."""
        match frame:
            case TradesFrame(coin=coin):
                if coin in self._replay_due:
                    self._replay_due.discard(coin)
                    return True
            case Ack():
                self._acked(frame)
            case ErrorFrame():
                self._complained(frame.text)
        return False

    def _acked(self, ack: Ack) -> None:
        subscription = _subscription(ack.subscription)
        if subscription is None:
            return
        if ack.method == "subscribe":
            self._confirm(subscription)
        elif ack.method == "unsubscribe":
            self._left(subscription)

    def _complained(self, text: str) -> None:
        """Read the subscription that an error text quotes; other texts change nothing."""
        complaint, brace, quoted = text.partition("{")
        try:
            subscription = _subscription(json.loads(brace + quoted))
        except (ValueError, RecursionError):
            return
        if subscription is None:
            return
        if complaint.startswith("Already subscribed"):
            self._confirm_late(subscription)
        elif complaint.startswith("Already unsubscribed"):
            self._left(subscription)
        elif complaint.startswith("Invalid subscription") and subscription in self.pending:
            del self.pending[subscription]
            self._replay_due.discard(subscription.coin or "")
            self.refused[subscription] = printable(text)

    def _confirm(self, subscription: Subscription) -> bool:
        # Only what we asked for: an echo out of nowhere proves nothing.
        if self.pending.pop(subscription, None) is None:
            return False
        self.confirmed.add(subscription)
        return True

    def _confirm_late(self, subscription: Subscription) -> None:
        """Take "Already subscribed" for the lost ack; the replay can only be had anew."""
        if not self._confirm(subscription) or subscription.type != "trades":
            return
        # Nor is a live frame that came meanwhile to be told from it.
        self._replay_due.discard(subscription.coin or "")
        if subscription not in self._made_good:
            self._made_good.add(subscription)
            self._renewing.add(subscription)

    def _left(self, subscription: Subscription) -> None:
        if self.leaving.pop(subscription, None) is not None:
            self.confirmed.discard(subscription)
            self._renewing.discard(subscription)


def _order(subscription: Subscription) -> tuple[str, ...]:
    return (
        subscription.type,
        subscription.coin or "",
        subscription.dex or "",
        subscription.user or "",
    )


def _subscription(echo: Any) -> Subscription | None:
    """The subscription that an echo means: keys that the server added do not count, nor does the
    case of an address; ``None`` if it means none."""
    if not isinstance(echo, dict):
        return None
    kind, coin, dex, user = (echo.get(key) for key in ("type", "coin", "dex", "user"))
    if not isinstance(kind, str):
        return None
    return Subscription(
        kind,
        coin=coin if isinstance(coin, str) else None,
        dex=dex if isinstance(dex, str) and dex else None,
        user=user.lower() if isinstance(user, str) else None,
    )
