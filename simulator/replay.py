"""A server's world that plays a recording instead of a live market."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from pathlib import Path
from typing import Any

from simulator.connection import Key
from simulator.hub import Hub
from simulator.orders import Orders
from simulator.recording import (
    Frame,
    read_frames,
    recorded_accounts,
    recorded_coins,
    recorded_markets,
)
from simulator.replay_accounts import ReplayAccounts
from simulator.replay_info import ReplayInfo
from simulator.wire import encode

REPLAY_TRADES = 30
TICK_SECONDS = 0.005


class Track(list[Frame]):
    """The frames of one coin; its first frame of trades is the replay that opened the recording."""

    def __init__(self, frames: list[Frame]) -> None:
        opening = next((f for f in frames if f.channel == "trades"), None)
        self.opening = opening
        super().__init__(frame for frame in frames if frame is not opening)
        self.started_at: float | None = None
        self.first_ns = opening.at_ns if opening else (frames[0].at_ns if frames else 0)
        self.position = 0
        self.recent: deque[dict[str, Any]] = deque(
            opening.trades if opening else (), maxlen=REPLAY_TRADES
        )

    @property
    def done(self) -> bool:
        """Whether everything was played."""
        return self.position >= len(self)

    @property
    def finished(self) -> bool:
        """Whether nothing of it is left to be shown."""
        return self.done and (self.opening is None or self.started_at is not None)

    def due_at(self) -> float | None:
        """When the next frame is due, in seconds of the replay's clock; None: never."""
        if self.started_at is None or self.done:
            return None
        return self.started_at + (self[self.position].at_ns - self.first_ns) / 1e9


class Replay:
    """Plays recorded frames at their pace, each coin from its first subscription to `trades` on.

    So nobody misses a frame by connecting late. At the end it falls silent, or with `loop` plays
    the frames again as they are; the times of trades are never changed.
    """

    orders: Orders | None = None

    def __init__(self, path: Path, *, speed: float = 1.0, loop: bool = False) -> None:
        frames = read_frames(path)
        if not frames:
            raise ValueError(f"{path.name}: no frames")
        accounts = recorded_accounts(path.parent)
        self.coins = recorded_coins(frames, accounts, recorded_markets(path.parent))
        self._file = path.name
        self._speed = speed
        self._loop = loop
        self._tracks = {
            name: Track([frame for frame in frames if frame.coin == name]) for name in self.coins
        }
        self._channels = {frame.channel for frame in frames}
        self._addresses = _addresses(frames)
        # Those who trade nothing while it is played come first: their positions stay as recorded.
        traded = set(_addresses([frame for track in self._tracks.values() for frame in track]))
        holders = sorted(self._addresses, key=traded.__contains__)
        self.assignment = {
            address: (name, state)
            for address, (name, state) in zip(holders, accounts, strict=False)
        }
        self._accounts = ReplayAccounts(
            self.coins, self.assignment, began_ms=min(_times(frames), default=0)
        )
        self.info = ReplayInfo(self.coins, self._accounts, self.recent)
        self._trades_total = sum(len(frame.trades) for frame in frames if _is_trades(frame))
        self._clock = 0.0
        self._played = 0
        self._hub: Hub | None = None

    @property
    def source(self) -> Replay:
        """It is its own feed."""
        return self

    def attach(self, hub: Hub) -> None:
        """Send frames to this hub from now on."""
        self._hub = hub

    def recent(self, coin: str) -> list[dict[str, Any]] | None:
        """The newest trades of a coin, oldest first."""
        track = self._tracks.get(coin)
        return None if track is None else list(track.recent)

    def normalise(self, subscription: dict[str, Any]) -> dict[str, Any] | None:
        """The subscription as echoed: channels and coins of the recording, and `allMids`."""
        kind, coin = subscription.get("type"), subscription.get("coin")
        if kind == "allMids":
            return {"type": kind, "dex": subscription.get("dex")}
        known = kind in self._channels or kind in {"trades", "bbo"}
        return dict(subscription) if known and coin in self._tracks else None

    def first_frames(self, key: Key) -> list[str]:
        """The recorded replay frame, or what has become the newest 30 trades since."""
        kind, subject = key
        if kind == "allMids":
            mids = self.info.mids({"dex": subject})
            return [encode({"channel": "allMids", "data": {"mids": mids}}).decode()]
        if kind != "trades":
            return []
        track = self._tracks[subject]
        if track.started_at is None:
            track.started_at = self._clock
            if track.opening is not None:
                self._accounts.show(track.opening.trades)
        if track.position == 0 and track.opening is not None:
            return [track.opening.text]
        return [encode({"channel": "trades", "data": list(track.recent)}).decode()]

    def state(self) -> dict[str, Any]:
        """What `/sim/state` shows; `accounts` tells which address got which recorded account."""
        return {
            "mode": "replay",
            "file": self._file,
            "at_end": "loop" if self._loop else "silent",
            "finished": all(track.finished for track in self._tracks.values()),
            "coins": list(self.coins),
            "addresses": len(self._addresses),
            "trades_total": self._trades_total,
            "frames_played": self._played,
            "accounts": {address: name for address, (name, _) in self.assignment.items()},
        }

    def play(self, blocks: int, seconds: float) -> int:
        """Play some frames in recorded order, or all that fall into some seconds."""
        before = self._played
        self._clock += seconds
        self._play_due()
        for _ in range(blocks):
            due = [(track.due_at(), track) for track in self._tracks.values()]
            waiting = [(at, track) for at, track in due if at is not None]
            if not waiting:
                break
            at, track = min(waiting, key=lambda pair: pair[0])
            self._clock = max(self._clock, at)
            self._play_next(track)
        return self._played - before

    def _play_due(self) -> None:
        for track in self._tracks.values():
            while (due := track.due_at()) is not None and due <= self._clock:
                self._play_next(track)

    def _play_next(self, track: Track) -> None:
        frame = track[track.position]
        track.position += 1
        self._played += 1
        if _is_trades(frame):
            track.recent.extend(frame.trades)
            self._accounts.play(frame.trades)
        if self._hub is not None:
            self._hub.publish((frame.channel, frame.coin), frame.text)
        if track.done and self._loop:
            track.position = 0
            track.started_at = self._clock

    async def run(self) -> None:
        """Play at the recorded pace times `speed`, for ever."""
        before = time.monotonic()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            self._clock += (now - before) * self._speed
            before = now
            self._play_due()


def _is_trades(frame: Frame) -> bool:
    return frame.channel == "trades"


def _times(frames: list[Frame]) -> list[int]:
    return [int(trade["time"]) for frame in frames if _is_trades(frame) for trade in frame.trades]


def _addresses(frames: list[Frame]) -> list[str]:
    """The addresses of a recording in order of appearance."""
    seen: dict[str, None] = {}
    for frame in frames:
        for trade in frame.trades if _is_trades(frame) else ():
            seen |= dict.fromkeys(str(user).lower() for user in trade.get("users", ()))
    return list(seen)
