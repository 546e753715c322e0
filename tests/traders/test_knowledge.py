"""What is known of a position, and whether it still holds: the rules, as laws."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from traders.knowledge import (
    UNKNOWN,
    CoinFeed,
    Standing,
    complete_as_of_ms,
    dex_of,
    floor_ms,
    is_perpetual,
    is_stale,
    standing_of,
)

T = 1_760_000_000_000
times = st.integers(T, T + 20)
coins = st.sampled_from(["BTC", "ETH", "xyz:TSLA", "xyz:NVDA", "abc:TSLA"])
floors = st.dictionaries(st.sampled_from(["", "xyz", "abc"]), times)
bases = st.dictionaries(coins, times)
doubts = st.dictionaries(coins, st.fixed_dictionaries({"floor": st.none() | times}))
feeds = st.builds(CoinFeed, st.none() | times, st.booleans(), st.none() | times)


def test_a_builders_coin_is_of_the_builders_dex():
    assert [dex_of(coin) for coin in ("BTC", "kPEPE", "xyz:TSLA")] == ["", "", "xyz"]


def test_spot_and_outcomes_are_no_positions():
    names = ("BTC", "xyz:TSLA", "@107", "PURR/USDC", "#250")

    assert [is_perpetual(coin) for coin in names] == [True, True, False, False, False]


@given(floors, bases, doubts, coins)
def test_the_floor_is_the_later_of_dex_and_coin_unless_doubted(floors, bases, doubts, coin):
    told = {floors.get(dex_of(coin)), bases.get(coin)} - {None}
    expected = doubts[coin]["floor"] if coin in doubts else max(told, default=None)

    assert floor_ms(floors, bases, doubts, coin) == expected


@given(times, st.none() | times, st.booleans(), st.booleans())
def test_a_position_is_fresh_only_if_followed_undoubted_and_later_than_the_last_gap(
    floor, gap, doubted, followed
):
    stale = is_stale(floor, gap_until_ms=gap, is_doubted=doubted, is_followed=followed)

    assert stale is not (followed and not doubted and (gap is None or floor > gap))


def test_a_floor_at_the_very_end_of_a_gap_is_stale_because_its_block_may_be_cut():
    assert is_stale(T, gap_until_ms=T, is_doubted=False, is_followed=True)


@given(times, feeds, st.booleans(), st.none() | times)
def test_a_later_gap_never_makes_a_position_fresh(floor, feed, doubted, later):
    before = standing_of(floor, feed, is_doubted=doubted)
    gap = max((gap for gap in (feed.gap_until_ms, later) if gap is not None), default=None)
    after = standing_of(floor, replace(feed, gap_until_ms=gap), is_doubted=doubted)

    assert after.stale or not before.stale


@given(times, st.none() | feeds, st.booleans(), st.none() | times)
def test_no_position_is_claimed_for_a_time_before_its_floor(floor, feed, doubted, gap_from):
    told = standing_of(floor, feed, is_doubted=doubted, first_gap_ms=gap_from)

    assert told.known
    assert told.as_of_ms is not None
    assert told.as_of_ms >= floor


@given(times, feeds, st.booleans(), st.none() | times)
def test_no_position_is_claimed_beyond_its_floor_and_what_the_feed_has_carried(
    floor, feed, doubted, gap_from
):
    told = standing_of(floor, feed, is_doubted=doubted, first_gap_ms=gap_from)
    reached = max(filter(None, (floor, feed.carried_until_ms, gap_from)))

    assert told.as_of_ms is not None
    assert told.as_of_ms <= reached


def test_a_fresh_position_is_as_of_the_newest_block():
    feed = CoinFeed(gap_until_ms=T - 1, is_covered=True, carried_until_ms=T + 9)

    assert standing_of(T, feed) == Standing(known=True, stale=False, as_of_ms=T + 9)


def test_a_gap_spoils_a_position_from_the_gaps_beginning_on():
    feed = CoinFeed(gap_until_ms=T + 7, is_covered=True, carried_until_ms=T + 9)

    assert standing_of(T, feed, first_gap_ms=T + 4) == Standing(True, True, T + 4)
    assert standing_of(T, feed, first_gap_ms=T - 4) == Standing(True, True, T)
    assert standing_of(T, feed, first_gap_ms=None) == Standing(True, True, T)


def test_an_outage_spoils_a_position_from_where_the_coverage_ended():
    feed = CoinFeed(gap_until_ms=T - 1, is_covered=False, carried_until_ms=T + 5)

    assert standing_of(T, feed) == Standing(known=True, stale=True, as_of_ms=T + 5)


def test_without_a_feed_a_position_is_as_of_its_floor():
    assert standing_of(T, None) == Standing(known=True, stale=True, as_of_ms=T)


def test_a_doubted_position_is_as_of_the_floor_that_the_doubt_left():
    feed = CoinFeed(gap_until_ms=None, is_covered=True, carried_until_ms=T + 9)

    assert standing_of(T, feed, is_doubted=True) == Standing(True, True, T)


@given(st.none() | feeds, st.booleans())
def test_without_a_floor_nothing_is_known(feed, doubted):
    assert standing_of(None, feed, is_doubted=doubted) == UNKNOWN


def told(*times: int | None) -> list[Standing]:
    return [UNKNOWN if at is None else Standing(True, False, at) for at in times]


def test_the_list_is_whole_until_the_first_of_its_coins_is_spoiled():
    assert complete_as_of_ms(["", "xyz"], {"": T, "xyz": T}, told(T + 9, T + 4, T + 8)) == T + 4


def test_the_list_may_miss_something_while_a_dex_has_no_floor_or_a_coin_no_base():
    assert complete_as_of_ms(["", "xyz"], {"": T}, told(T + 9)) is None
    assert complete_as_of_ms([""], {"": T}, told(T + 9, None)) is None


def test_without_any_coin_the_list_is_as_old_as_its_oldest_dex():
    assert complete_as_of_ms(["", "xyz"], {"": T + 3, "xyz": T}, []) == T
