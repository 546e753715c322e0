"""Recorded frames of the real exchange become the right traders."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from discovery.replay import Summary, replay
from hlcopy.clock import utc_now
from traders.models import (
    FeedCursor,
    FeedGap,
    Ledger,
    Position,
    PositionEvent,
    Trader,
    TraderDay,
    WaitingFill,
)
from traders.sightings import record

BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[3] / "shared" / "data"
DATA = Path(os.environ.get("HLCOPY_SHARED_DATA", BESIDE_THE_CHECKOUT))
MIXED = DATA / "ws_mixed_trades_bbo_l2_5coins_90s_20260722.jsonl.gz"
FRAMES = DATA / "ws_frames_btc_20250126.jsonl.gz"


def played(path: Path, speed: float = 0) -> Summary:
    """Play a recording to its end."""
    return asyncio.run(replay(path, speed=speed, stop=asyncio.Event()))


def users_of(path: Path) -> set[str]:
    """Return every address in the trades of a recording, read another way."""
    users: set[str] = set()
    with gzip.open(path, "rt") as lines:
        for line in lines:
            frame = json.loads(line)
            frame = frame.get("frame", frame)
            if frame["channel"] == "trades":
                users |= {user for trade in frame["data"] for user in trade.get("users", ())}
    return users


def moved(path: Path) -> dict[tuple[str, str], Decimal]:
    """Return what everybody has bought, less what was sold, after each coin's first frame."""
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    replays: set[str] = set()
    seen: set[tuple[str, int, int]] = set()
    with gzip.open(path, "rt") as lines:
        for line in lines:
            frame = json.loads(line)
            if frame["channel"] == "trades":
                [coin] = {trade["coin"] for trade in frame["data"]}
                for trade in frame["data"]:
                    key = (coin, trade["time"], trade["tid"])
                    if coin in replays and key not in seen:
                        buyer, seller = trade["users"]
                        sums[buyer, coin] += Decimal(trade["sz"])
                        sums[seller, coin] -= Decimal(trade["sz"])
                    seen.add(key)
                replays.add(coin)
    return {pair: size for pair, size in sums.items() if size}


def book() -> list[list[object]]:
    """Return every row that the feed writes."""
    models = (FeedCursor, FeedGap, Ledger, Position, PositionEvent, Trader, TraderDay, WaitingFill)
    return [list(model._default_manager.order_by("pk").values()) for model in models]


@pytest.mark.shared_data
@pytest.mark.skipif(not MIXED.exists(), reason=f"{MIXED.name} is not beside the checkout")
def test_the_trades_of_the_recorded_90_seconds_count_once_and_their_202_traders_too(
    transactional_db,
):
    first = played(MIXED)

    assert (first.trades, first.unique_trades, first.replayed_trades) == (429, 428, 150)
    # The five replays count in nothing; one of the live trades had come with its replay.
    assert first.counted_trades == 429 - 150 - 1
    assert (first.bad_frames, first.bad_trades, first.unsaved) == (0, 0, 0)
    assert first.new_traders == Trader.objects.count() == 202
    assert set(Trader.objects.values_list("address", flat=True)) == users_of(MIXED)
    gaps = FeedGap.objects.values_list("reason", "from_ms")
    assert list(gaps) == [("first", None)] * 5
    # Nothing is known of anybody yet.
    assert (first.events, Position.objects.count()) == (0, 0)
    assert sum(TraderDay.objects.values_list("fills", flat=True)) == 2 * 278
    assert WaitingFill.objects.count() == 2 * 278


@pytest.mark.shared_data
@pytest.mark.skipif(not MIXED.exists(), reason=f"{MIXED.name} is not beside the checkout")
def test_to_play_a_recording_again_changes_nothing(transactional_db):
    played(MIXED)
    before = book()
    again = played(MIXED)

    assert (again.new_traders, again.counted_trades, again.events) == (0, 0, 0)
    assert book() == before


@pytest.mark.shared_data
@pytest.mark.skipif(not MIXED.exists(), reason=f"{MIXED.name} is not beside the checkout")
def test_recorded_trades_move_positions_by_exactly_their_sizes(transactional_db):
    record([(user, dex) for user in users_of(MIXED) for dex in ("", "xyz")], utc_now())
    Ledger.objects.bulk_create(
        Ledger(trader=trader, floors={"": 1, "xyz": 1}) for trader in Trader.objects.all()
    )
    summary = played(MIXED)

    held = Position.objects.values_list("trader__address", "coin", "size")
    assert {(user, coin): size for user, coin, size in held} == moved(MIXED)
    assert summary.events == PositionEvent.objects.count() > 300
    # Who held what before the recording began is not known to the feed.
    assert set(PositionEvent.objects.values_list("stale", flat=True)) == {True}


@pytest.mark.shared_data
@pytest.mark.skipif(not FRAMES.exists(), reason=f"{FRAMES.name} is not beside the checkout")
def test_the_other_wrapper_is_read_too(transactional_db):
    summary = played(FRAMES)

    assert (summary.frames, summary.bad_frames) == (55, 0)
    assert set(Trader.objects.values_list("address", flat=True)) == users_of(FRAMES)


def test_it_keeps_the_recordings_pace_divided_by_the_speed(transactional_db, tmp_path):
    path = tmp_path / "two.jsonl"
    path.write_text(
        "".join(f'{{"recv_ns":{at},"frame":{{"channel":"pong"}}}}\n' for at in (10**9, 3 * 10**9))
    )
    loop = asyncio.new_event_loop()
    begun = loop.time()
    loop.run_until_complete(replay(path, speed=10, stop=asyncio.Event()))
    elapsed = loop.time() - begun
    loop.close()

    assert elapsed >= 0.2


def test_a_signal_ends_it_at_once(transactional_db, tmp_path):
    path = tmp_path / "long.jsonl"
    path.write_text(
        "".join(f'{{"recv_ns":{at},"frame":{{"channel":"pong"}}}}\n' for at in (0, 10**15))
    )

    async def stopped() -> Summary:
        stop = asyncio.Event()
        playing = asyncio.create_task(replay(path, speed=1, stop=stop))
        await asyncio.sleep(0)
        stop.set()
        return await asyncio.wait_for(playing, 5)

    assert asyncio.run(stopped()).frames <= 1
