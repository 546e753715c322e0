"""Frames to unique trades and their traders, beside `json.loads` and a set."""

from __future__ import annotations

import json
import random
import statistics

from bench.measure import Option, Promise, compare, table
from bench.population import random_address
from discovery.batching import FrameQueue, Reports
from exchange.wire import TradesFrame, decode_frame
from traders.cursors import Arrival

FRAMES = 5_000
FEED_PROMISE = 5_000  # trades a second


def make_frames(numbers: random.Random) -> list[bytes]:
    """Return frames as the exchange sends them: one coin, one block, 1 to 20 trades."""
    users = [random_address(numbers) for _ in range(5_000)]
    frames = []
    for block in range(FRAMES):
        size = numbers.choices((1, 2, 3, 4, 20), (67, 17, 6, 3, 7))[0]
        coin = f"C{numbers.randrange(230)}"
        trades = [
            {
                "coin": coin,
                "side": numbers.choice("AB"),
                "px": "64321.5",
                "sz": f"{numbers.random():.5f}1",
                "time": 1_790_000_000_000 + block,
                "hash": f"0x{numbers.getrandbits(256):064x}",
                "tid": numbers.getrandbits(50),
                "users": numbers.sample(users, 2),
            }
            for _ in range(size)
        ]
        # Every coin is carried by two sockets.
        frame = json.dumps({"channel": "trades", "data": trades}, separators=(",", ":"))
        frames += [frame.encode()] * 2
    return frames


def parties(arrival: Arrival | Reports) -> set[str]:
    """Return everybody who traded in a frame of the queue."""
    if isinstance(arrival, Reports):
        return set()
    return {one for trade in arrival.trades for one in (trade.buyer, trade.seller)}


def through_queue(frames: list[bytes]) -> tuple[int, int]:
    """Return how many trades the product's decoder and queue received, and from how many."""
    queue = FrameQueue()
    traders = set()
    for raw in frames:
        frame = decode_frame(raw)
        if isinstance(frame, TradesFrame):
            queue.offer(Arrival(frame.coin, frame.trades))
    while batch := queue.first(5_000):
        for arrival in batch:
            traders |= parties(arrival)
        queue.done(len(batch))
    return queue.received, len(traders)


def bench(numbers: random.Random) -> list[Promise]:
    """Print the comparison; return what was promised of it."""
    frames = make_frames(numbers)
    expected: set[int] = set()

    def ours() -> int:
        received, traders = through_queue(frames)
        expected.add(traders)
        return received

    def classic() -> int:
        seen, traders, received = set(), set(), 0
        for raw in frames:
            message = json.loads(raw)
            if message["channel"] != "trades":
                continue
            for trade in message["data"]:
                received += 1
                key = (trade["coin"], trade["time"], trade["tid"])
                if key in seen:
                    continue
                seen.add(key)
                _believed = float(trade["px"]), float(trade["sz"])
                traders.update(trade["users"])
        expected.add(len(traders))
        return received

    product = Option("decode_frame (exact, all checked) + queue", ours)
    options = [Option("json.loads, float, set (believes all)", classic), product]
    compare(options, rounds=9)
    print(table(options, "trade"))
    assert len(expected) == 1, "the two ways found different traders"
    busy = statistics.median(product.cpu) * FEED_PROMISE
    return [
        Promise(
            f"{FEED_PROMISE:,} trades/s decoded and deduplicated by a third of a core",
            f"{busy:.1%} of a core, each trade arriving twice: {2 * busy:.1%}",
            2 * busy < 1 / 3,
        )
    ]
