"""The newest block, where one of them may lie."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from discovery.blocks import AHEAD_MS, BlockTimes

NOW = 1_790_000_000_000
HONEST = st.dictionaries(st.text(), st.integers(NOW - AHEAD_MS, NOW), min_size=1)
TOLD = st.lists(
    st.tuples(
        st.sampled_from("ABCD"),
        st.integers(-3, 3).map(lambda far: NOW + far * AHEAD_MS) | st.integers(NOW, NOW + 9),
    ),
    max_size=12,
)


def told(blocks: Mapping[str, int]) -> BlockTimes:
    """Return the times of these coins' newest blocks."""
    times = BlockTimes()
    for coin, time_ms in blocks.items():
        times.add(coin, time_ms)
    return times


def test_nothing_is_known_before_the_first_block():
    assert BlockTimes().newest_ms is None
    assert not BlockTimes().is_ahead("A", NOW)


@given(HONEST)
def test_the_newest_of_blocks_that_agree_is_believed(blocks):
    assert told(blocks).newest_ms == max(blocks.values())


@given(HONEST, st.integers(NOW + AHEAD_MS + 1, 4_102_444_800_000))
def test_a_block_far_ahead_of_all_others_is_not(blocks, lie):
    blocks.pop("liar", None)
    blocks["honest"] = NOW
    times = told({**blocks, "liar": lie})

    assert times.newest_ms == NOW
    assert times.is_ahead("liar", lie)


def test_two_coins_that_agree_are_believed_after_a_silence():
    later = NOW + 10 * AHEAD_MS

    assert told({"A": NOW, "B": later}).newest_ms == NOW
    assert told({"A": later + 1, "B": later}).newest_ms == later + 1
    assert not told({"A": NOW, "B": later}).is_ahead("A", later + AHEAD_MS)


@given(TOLD, st.sets(st.sampled_from("ABCD")), TOLD)
def test_it_says_what_all_times_together_say(before, kept, after):
    times = BlockTimes()
    newest: dict[str, int] = {}
    for coin, time_ms in before:
        times.add(coin, time_ms)
        newest[coin] = max(time_ms, newest.get(coin, 0))
    times.keep_only(kept)
    newest = {coin: at for coin, at in newest.items() if coin in kept}
    for coin, time_ms in after:
        others = [at for name, at in newest.items() if name != coin]
        assert times.is_ahead(coin, time_ms) == bool(others and time_ms > max(others) + AHEAD_MS)
        times.add(coin, time_ms)
        newest[coin] = max(time_ms, newest.get(coin, 0))

    believed = sorted(newest.values())[-2:]
    ahead = len(believed) == 2 and believed[1] - believed[0] > AHEAD_MS
    assert times.newest_ms == (believed[0 if ahead else -1] if believed else None)
