"""Recorded frames of the real exchange become the right traders."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from pathlib import Path

import pytest

from discovery.replay import Summary, replay
from traders.models import Trader

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


@pytest.mark.shared_data
@pytest.mark.skipif(not MIXED.exists(), reason=f"{MIXED.name} is not beside the checkout")
def test_all_202_traders_of_the_recorded_90_seconds_are_found_once(transactional_db):
    first = played(MIXED)
    again = played(MIXED)

    assert (first.trades, first.unique_trades, first.new_traders) == (429, 428, 202)
    assert (first.bad_frames, first.bad_trades, first.unsaved) == (0, 0, 0)
    assert set(Trader.objects.values_list("address", flat=True)) == users_of(MIXED)
    assert Trader.objects.count() == 202
    assert again.new_traders == 0


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
