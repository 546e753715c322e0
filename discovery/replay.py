"""Plays a recording through the same code as the sockets', without one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from discovery.batching import FrameQueue
from discovery.recording import Recorded, read_frames
from discovery.sockets import FrameIntake
from discovery.writer import Writer
from exchange.errors import WireError
from exchange.wire import Ack, Frame, TradesFrame, decode_frame

logger = logging.getLogger(__name__)
#: The event loop breathes, and the queue stays small, however fast the file can be read.
FRAMES_AT_ONCE = 200
WAITING_TRADES = 20_000


@dataclass(slots=True)
class Summary:
    """What a recording held and what became of it."""

    frames: int = 0
    bad_frames: int = 0
    bad_trades: int = 0
    trades: int = 0
    unique_trades: int = 0
    replayed_trades: int = 0
    counted_trades: int = 0
    events: int = 0
    new_traders: int = 0
    unsaved: int = 0

    def __str__(self) -> str:
        """Return one line for people."""
        return (
            f"replayed {self.frames:,} frames ({self.bad_frames:,} bad): {self.trades:,} trades "
            f"received, {self.unique_trades:,} unique, {self.replayed_trades:,} of replays, "
            f"{self.counted_trades:,} counted, {self.bad_trades:,} bad; "
            f"{self.new_traders:,} new traders, {self.events:,} events"
            + (f"; {self.unsaved:,} trades not saved" if self.unsaved else "")
        )


async def replay(path: Path, *, speed: float, stop: asyncio.Event) -> Summary:
    """Feed the file's frames at `speed` times their own pace (0: at once); return what happened.

    Raises OSError where the file cannot be opened.
    """
    frames = read_frames(path)
    summary = Summary()
    writer = Writer(FrameQueue())
    intake = FrameIntake(writer.offer, lambda _mids: None)
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(writer.run())
        await _feed(frames, intake, summary, writer, speed=speed, stop=stop)
        writer.finish()
        # Without a signal it waits for PostgreSQL as long as it takes.
        stopped = tasks.create_task(stop.wait())
        await asyncio.wait([writing, stopped], return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait([writing], timeout=3.5)
        stopped.cancel()
        writing.cancel()
    writer.close()
    summary.trades = writer.queue.received
    summary.unique_trades = writer.queue.unique
    summary.counted_trades = writer.counted
    summary.new_traders = writer.new_traders
    summary.events = writer.events
    summary.unsaved = writer.queue.trades_waiting
    return summary


async def _feed(
    frames: Iterator[Recorded],
    intake: FrameIntake,
    summary: Summary,
    writer: Writer,
    *,
    speed: float,
    stop: asyncio.Event,
) -> None:
    """Hand over every frame when its time has come, until `stop`."""
    started = asyncio.get_running_loop().time()
    first_ns: int | None = None
    replays = _Replays()
    for recorded in frames:
        first_ns = recorded.received_ns if first_ns is None else first_ns
        due = started + (recorded.received_ns - first_ns) / 1e9 / speed if speed else 0.0
        if not await _until(due, stop):
            return
        summary.frames += 1
        try:
            frame = decode_frame(recorded.raw)
        except WireError:
            summary.bad_frames += 1
            continue
        if isinstance(frame, TradesFrame):
            summary.bad_trades += frame.bad
        is_replay = replays.is_replay(frame)
        if isinstance(frame, TradesFrame) and is_replay:
            summary.replayed_trades += len(frame.trades)
        intake.take(frame, is_replay=is_replay)
        while writer.queue.trades_waiting > WAITING_TRADES and await _until(
            asyncio.get_running_loop().time() + 0.01, stop
        ):
            continue
        if summary.frames % FRAMES_AT_ONCE == 0:
            await asyncio.sleep(0)


class _Replays:
    """Tells the frames that follow a subscribe: a coin's first, and the first after each answer."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def is_replay(self, frame: Frame) -> bool:
        match frame:
            case Ack(subscription={"type": "trades", "coin": str(coin)}):
                self._seen.discard(coin)
            case TradesFrame(coin=coin, trades=trades) if trades and coin not in self._seen:
                self._seen.add(coin)
                return True
        return False


async def _until(due: float, stop: asyncio.Event) -> bool:
    """Wait until `due` on the loop's clock; return False at once when `stop` is set."""
    wait = due - asyncio.get_running_loop().time()
    if wait > 0:
        try:
            await asyncio.wait_for(stop.wait(), wait)
        except TimeoutError:
            return True
    return not stop.is_set()
