"""The newest block, where one of them may lie."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from discovery.blocks import AHEAD_MS, newest_block_ms

NOW = 1_790_000_000_000
HONEST = st.dictionaries(st.text(), st.integers(NOW - AHEAD_MS, NOW), min_size=1)


def test_nothing_is_known_before_the_first_block():
    assert newest_block_ms({}) is None


@given(HONEST)
def test_the_newest_of_blocks_that_agree_is_believed(blocks):
    assert newest_block_ms(blocks) == max(blocks.values())


@given(HONEST, st.integers(NOW + AHEAD_MS + 1, 4_102_444_800_000))
def test_a_block_far_ahead_of_all_others_is_not(blocks, lie):
    blocks.pop("liar", None)
    blocks["honest"] = NOW

    assert newest_block_ms({**blocks, "liar": lie}) == NOW


def test_two_coins_that_agree_are_believed_after_a_silence():
    assert newest_block_ms({"A": NOW, "B": NOW + 10 * AHEAD_MS}) == NOW
    assert newest_block_ms({"A": NOW + 10 * AHEAD_MS + 1, "B": NOW + 10 * AHEAD_MS}) == (
        NOW + 10 * AHEAD_MS + 1
    )
