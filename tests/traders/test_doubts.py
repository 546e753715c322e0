"""What snapshots say against the feed, whatever happened and whenever they were taken."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import accumulate

from hypothesis import event, given
from hypothesis import strategies as st

from traders import doubts
from traders.doubts import AFTER_MS, BEFORE_MS, SECOND_LOOK_MS, Doubt
from traders.positions import ZERO

STEPS = st.decimals("-3", "3", places=1).filter(bool)
# Anything; a block each second, of one size; and both ways, which is worst.
MOVES = st.one_of(
    st.lists(st.tuples(st.integers(0, 60_000), STEPS), max_size=40).map(
        lambda moves: sorted(moves, key=lambda move: move[0])
    ),
    st.builds(
        lambda sizes, every: [(every * n, size) for n, size in enumerate(sizes)],
        st.lists(st.sampled_from([Decimal(-1), Decimal(1)]), min_size=30, max_size=60),
        st.sampled_from([500, 1000, 1700]),
    ),
    st.builds(
        lambda count, first: [(1000 * n, first * (-1) ** n) for n in range(count)],
        st.integers(30, 60),
        st.sampled_from([Decimal(-1), Decimal(1)]),
    ),
)
# By how much a snapshot's account is younger than its time.
LAGS = st.integers(-BEFORE_MS, AFTER_MS)
TIMES = st.integers(6_000, 55_000)
SIZES = st.sampled_from([ZERO, Decimal(1), Decimal(-1), Decimal(2), Decimal("0.7")])
# Seconds between looks, and the lag of each; often one that never changes.
LOOKS = st.one_of(
    st.lists(st.tuples(st.integers(1_000, 9_000), LAGS), min_size=1, max_size=8),
    st.builds(
        lambda every, lag, many: [(every, lag)] * many,
        st.integers(1_000, 9_000),
        LAGS,
        st.integers(1, 8),
    ),
)


def moved(moves, until_ms):
    return sum((size for at, size in moves if at <= until_ms), ZERO)


def seen(looks):
    """Return (time, cut) of each look."""
    times = accumulate((wait for wait, _ in looks), initial=6_000)
    return [(at, at + lag) for at, (_, lag) in zip(times, looks, strict=False)]


@given(MOVES, TIMES, LAGS, SIZES)
def test_the_true_base_is_among_those_implied_and_its_cut_carries_on_to_the_truth(
    moves, time_ms, lag, base
):
    told = base + moved(moves, time_ms + lag)
    total = moved(moves, 10**6)
    sizes = doubts.implied(told, total, doubts.cuts(moves, time_ms, since_ms=0))

    assert base in sizes
    cut = sizes[base]
    assert told + cut.later == base + total
    assert moved(moves, cut.at_ms) == told - base
    # It claims no fill that the snapshot does not hold.
    assert not any(cut.at_ms < at <= cut.floor_ms for at, _ in moves)
    assert time_ms - BEFORE_MS <= cut.floor_ms <= time_ms


@given(MOVES, TIMES, LAGS, SIZES, st.integers(0, 50_000))
def test_the_true_difference_is_among_those_implied_above_the_floor(
    moves, time_ms, lag, missed, floor_ms
):
    cut_ms = max(time_ms + lag, floor_ms)
    time_ms = max(time_ms, floor_ms + 1)
    held = moved(moves, 10**6)
    told = moved(moves, cut_ms) + missed
    recent = [move for move in moves if move[0] > time_ms - BEFORE_MS]
    sizes = doubts.implied(told, held, doubts.cuts(recent, time_ms, since_ms=floor_ms))

    assert missed in sizes
    cut = sizes[missed]
    assert told + cut.later == held + missed
    assert cut.floor_ms >= min(floor_ms, time_ms)
    assert not any(cut.at_ms < at <= cut.floor_ms for at, _ in moves)


@given(TIMES, SIZES)
def test_a_snapshot_far_from_any_fill_is_taken_at_its_word(time_ms, told):
    moves = [(time_ms - BEFORE_MS, Decimal(4)), (time_ms + AFTER_MS + 1, Decimal(5))]
    sizes = doubts.implied(told, Decimal(9), doubts.cuts(moves, time_ms, since_ms=0))

    assert list(sizes) == [told - 4]
    assert sizes[told - 4].floor_ms == time_ms
    assert doubts.settled_base(None, frozenset(sizes)) == told - 4


@given(MOVES, SIZES, LOOKS)
def test_a_base_that_is_settled_is_the_true_one(moves, base, looks):
    doubt = None
    for time_ms, cut_ms in seen(looks):
        brought = [move for move in moves if move[0] <= time_ms + AFTER_MS + 500]
        told = base + moved(moves, cut_ms)
        possible = doubts.cuts(brought, time_ms, since_ms=0)
        sizes = frozenset(doubts.implied(told, moved(brought, 10**6), possible))
        found = doubts.settled_base(doubt, sizes)
        event("open" if found is None else "settled")
        if found is not None:
            assert found == base
            return
        doubt = doubts.narrowed(doubt or Doubt(None), sizes, time_ms)


@given(MOVES, SIZES, LOOKS)
def test_what_is_settled_of_a_stale_position_is_the_true_difference(moves, missed, looks):
    doubt, shown = None, []
    for time_ms, cut_ms in seen(looks):
        brought = [move for move in moves if move[0] <= time_ms + AFTER_MS + 500]
        told = moved(moves, cut_ms) + missed
        possible = doubts.cuts(brought, time_ms, since_ms=0)
        sizes = frozenset(doubts.implied(told, moved(brought, 10**6), possible))
        found = doubts.settled_difference(doubt, sizes, time_ms, is_stale=True)
        shown.append(time_ms)
        event("open" if found is None else "settled")
        if found is not None:
            assert found == missed
            assert found == 0 or shown[-1] - shown[0] >= SECOND_LOOK_MS
            return
        if doubt is None or time_ms >= (doubt.at_ms or 0) + SECOND_LOOK_MS:
            doubt = doubts.narrowed(doubt or Doubt(0), sizes, time_ms)


@given(
    st.lists(st.tuples(TIMES, st.frozensets(SIZES, min_size=1)), min_size=1, max_size=8),
    st.booleans(),
)
def test_a_difference_wins_only_where_two_snapshots_five_seconds_apart_show_it(looks, is_stale):
    doubt = None
    earlier: list[tuple[int, frozenset[Decimal]]] = []
    for time_ms, sizes in sorted(looks, key=lambda look: look[0]):
        found = doubts.settled_difference(doubt, sizes, time_ms, is_stale=is_stale)
        if found:
            assert found in sizes
            assert any(at + SECOND_LOOK_MS <= time_ms and found in before for at, before in earlier)
        doubt = doubts.narrowed(doubt or Doubt(0), sizes, time_ms)
        earlier.append((time_ms, sizes))


def test_a_fresh_position_is_confirmed_by_any_cut_and_a_stale_one_is_not():
    sizes = frozenset([ZERO, Decimal(1)])

    assert doubts.settled_difference(None, sizes, 9, is_stale=False) == 0
    assert doubts.settled_difference(None, sizes, 9, is_stale=True) is None
    known = doubts.narrowed(Doubt(0), sizes, 9)
    again = frozenset([ZERO, Decimal(-1)])
    assert doubts.settled_difference(known, again, 10, is_stale=True) == 0


def test_snapshots_that_agree_in_nothing_begin_anew():
    doubt = doubts.narrowed(Doubt(3, cut_ms=2), frozenset([Decimal(1), Decimal(2)]), 10)
    again = doubts.narrowed(doubt, frozenset([Decimal(5)]), 20)

    assert again == Doubt(3, 20, frozenset([Decimal(5)]), 2)
    assert doubts.settled_base(doubt, frozenset([Decimal(5)])) is None


@given(
    st.builds(
        Doubt,
        st.none() | TIMES,
        st.none() | TIMES,
        st.frozensets(st.decimals("-1000000", "1000000", places=8)),
        st.none() | TIMES,
        st.booleans(),
    )
)
def test_a_doubt_is_the_same_after_the_database_has_had_it(doubt):
    assert Doubt.read(json.loads(json.dumps(doubt.written()))) == doubt
