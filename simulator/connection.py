"""One WebSocket connection: the exchange's replies to what a client sends, and its outbox."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.faults import GARBAGE, NONE, Faults
from simulator.wire import encode

if TYPE_CHECKING:
    from simulator.hub import Hub

Key = tuple[str, str]
BANNER = "Websocket connection established."
OUTBOX_LIMIT = 50_000

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Connection:
    """A client's subscriptions and the frames that wait for it."""

    def __init__(self, hub: Hub, number: int, ip: str, transport: asyncio.Transport | None) -> None:
        self._hub = hub
        self.number = number
        self.ip = ip
        self.keys: dict[Key, dict[str, Any]] = {}
        self.last_sent = time.monotonic()
        self.sent_total = 0
        self.readable = asyncio.Event()
        self.readable.set()
        self._transport = transport
        self._outbox: deque[str] = deque()
        self._wake = asyncio.Event()
        self._close_code: int | None = None
        self._faults = NONE
        self._frames = 0
        self._late: deque[tuple[int, str]] = deque()
        # On their way for longer, and when they arrive; none overtakes another.
        self._held: deque[tuple[float, str]] = deque()

    # -- outbound -----------------------------------------------------------------------------

    def obey(self, faults: Faults) -> None:
        """Let the faults strike this connection, or end."""
        self._faults = faults if faults.hits_connection(self.number) else NONE
        if not self._faults.late_blocks_every:
            while self._late:
                self.say(self._late.popleft()[1])
        if self._faults.half_open == (not self.readable.is_set()):
            return
        if self._faults.half_open:
            self.readable.clear()
            self._outbox.clear()
            if self._transport is not None:
                self._transport.pause_reading()
        else:
            self.readable.set()
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()

    def say(self, frame: str) -> None:
        """Queue a frame, whatever it is; silent and half-open connections lose it."""
        if self._faults.silence or self._faults.half_open:
            return
        self._outbox.append(frame)
        self._wake.set()
        if len(self._outbox) > OUTBOX_LIMIT:
            self.close(1006)

    def deliver(self, coin: str, frame: str) -> None:
        """Queue a frame of a subscription, as the faults in force allow."""
        faults = self._faults
        if faults is NONE and not self._held:
            self._outbox.append(frame)
            self._wake.set()
            if len(self._outbox) > OUTBOX_LIMIT:
                self.close(1006)
            return
        if self._held or faults.frames_delay_seconds:
            self._hold(frame, faults.frames_delay_seconds)
            return
        if not faults.hits_coin(coin):
            self.say(frame)
            return
        self._frames += 1
        self._deliver_faulty(faults, frame)

    def _deliver_faulty(self, faults: Faults, frame: str) -> None:
        count = self._frames
        if faults.garbage_every and count % faults.garbage_every == 0:
            self.say(GARBAGE[(count // faults.garbage_every - 1) % len(GARBAGE)])
        if faults.lose_blocks_every and count % faults.lose_blocks_every == 0:
            return
        if faults.late_blocks_every and count % faults.late_blocks_every == 0:
            self._late.append((count + faults.late_blocks_by, frame))
            return
        self.say(frame)
        if faults.duplicate_every and count % faults.duplicate_every == 0:
            self.say(frame)
        while self._late and self._late[0][0] <= count:
            self.say(self._late.popleft()[1])

    def _hold(self, frame: str, seconds: float) -> None:
        """Let a frame arrive later, after those that are on their way."""
        loop = asyncio.get_running_loop()
        last = self._held[-1][0] if self._held else 0.0
        due = max(last, loop.time() + seconds)
        self._held.append((due, frame))
        loop.call_at(due, self._arrive)

    def _arrive(self) -> None:
        now = asyncio.get_running_loop().time() + 0.005  # timers are not exact
        while self._held and self._held[0][0] <= now:
            self.say(self._held.popleft()[1])

    def close(self, code: int) -> None:
        """Close with a code; 1006 aborts the connection, as a lost peer does."""
        if code == 1006 and self._transport is not None:
            self._transport.abort()
            return
        self._close_code = code
        self._wake.set()

    async def pump(self, send: Send) -> None:
        """Write the outbox to the socket until the connection is closed."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox and self._close_code is None:
                await send({"type": "websocket.send", "text": self._outbox.popleft()})
                self.last_sent = time.monotonic()
                self.sent_total += 1
            if self._close_code is not None:
                await send({"type": "websocket.close", "code": self._close_code, "reason": ""})
                return

    # -- inbound ------------------------------------------------------------------------------

    def handle(self, message: str) -> None:
        """Answer one message of the client."""
        if self._hub.too_many_messages(self.ip):
            self._error("Too many messages")
            return
        try:
            request = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeError):
            request = None
        method = request.get("method") if isinstance(request, dict) else None
        if method == "ping":
            self.say('{"channel":"pong"}')
        elif method in {"subscribe", "unsubscribe"} and isinstance(
            request.get("subscription"), dict
        ):
            self._change_subscription(method, request["subscription"])
        else:
            self._error(f"Error parsing JSON into valid websocket request: {message}")

    def _error(self, text: str) -> None:
        self.say(encode({"channel": "error", "data": text}).decode())

    def _change_subscription(self, method: str, asked: dict[str, Any]) -> None:
        subscription = self._hub.source.normalise(asked)
        if subscription is None:
            self._error(f"Invalid subscription {encode(asked).decode()}")
            return
        shown = encode(asked).decode()
        key = key_of(subscription)
        if (key in self.keys) == (method == "subscribe"):
            word = "subscribed" if method == "subscribe" else "unsubscribed"
            self._error(f"Already {word}: {shown}")
            return
        refusal = self._refusal(key) if method == "subscribe" else None
        if refusal:
            self._error(refusal)
            return
        data = {"method": method, "subscription": subscription}
        self.say(encode({"channel": "subscriptionResponse", "data": data}).decode())
        if method == "unsubscribe":
            del self.keys[key]
            self._hub.subscribers[key].discard(self)
            return
        self.keys[key] = subscription
        self._hub.subscribers[key].add(self)
        for frame in self._hub.source.first_frames(key):
            if self._held or self._faults.frames_delay_seconds:
                self._hold(frame, self._faults.frames_delay_seconds)
            else:
                self.say(frame)

    def _refusal(self, key: Key) -> str | None:
        limits = self._hub.limits
        if self._hub.subscriptions_of(self.ip) >= limits.subscriptions:
            return f"Cannot subscribe to more than {limits.subscriptions} channels."
        users = self._hub.users_of(self.ip)
        if key[1].startswith("0x") and key[1] not in users and len(users) >= limits.users:
            return f"Cannot track more than {limits.users} total users."
        return None


def key_of(subscription: dict[str, Any]) -> Key:
    """What makes two subscriptions the same: their type and their coin, user or dex."""
    subject = subscription.get("coin") or subscription.get("user") or subscription.get("dex") or ""
    return str(subscription["type"]), str(subject)
