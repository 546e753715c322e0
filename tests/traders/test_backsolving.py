"""How positions began, told backwards from what a snapshot shows."""

from __future__ import annotations

import json
from decimal import Decimal, localcontext

import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from tests.traders.test_scoring_cases import CASES
from traders import positions
from traders.backsolving import LEAST_SHARE, Beginning, WaitedFill, beginning
from traders.episodes import EXACT, Episode
from traders.positions import ZERO, Fill, Position

SIZES = st.decimals("-9", "9", places=2).filter(bool)
PRICES = st.decimals("50", "150", places=2)
FILLS = st.lists(st.tuples(SIZES, PRICES), min_size=1, max_size=12)


def waited(fills):
    return [WaitedFill(n, size, price, is_taker=True) for n, (size, price) in enumerate(fills)]


def fold(position, fills):
    for fill in fills:
        brought = Fill("X", "BUY" if fill.size > 0 else "SELL", fill.price, abs(fill.size))
        position, _ = positions.apply(position, brought)
    return position


def share(size, fills):
    """Return how much of the first entry price is left in the last, without a crossing."""
    left = Decimal(1)
    for fill in fills:
        after = size + fill.size
        left *= min(Decimal(1), abs(size / after)) if after else 0
        size = after
    return left


@pytest.mark.shared_data
@pytest.mark.skipif(not CASES.is_file(), reason="the golden cases are not at hand")
def test_the_golden_cases_begin_as_they_say():
    cases = [one for one in json.loads(CASES.read_text())["cases"] if one["kind"] == "backsolve"]
    for case in cases:
        fills = [
            (Decimal(row["sz"]) * (1 if row["side"] == "B" else -1), Decimal(row["px"]))
            for row in case["input"]["fills"]
        ]
        told, expected = case["input"]["snapshot"], case["expect"]
        size = Decimal(told["size"]) - sum(size for size, _ in fills)
        began = beginning("X", size, waited(fills), Decimal(told["entry"]))

        assert size == expected["start_size"]
        assert (began is not None and began.first == 0) is expected["known"]
        if began is not None and began.episode is not None:
            assert began.episode.entry_price is not None
            close = abs(began.episode.entry_price - Decimal(expected["start_entry"]))
            assert close <= Decimal(str(case["abs_tol"]))
    assert cases


@given(SIZES, PRICES, FILLS)
def test_the_beginning_leads_to_what_the_snapshot_shows(size, entry, fills):
    fills = waited(fills)
    with localcontext(EXACT):
        end = fold(Position("X", size, entry), fills)
        began = beginning("X", size, fills, end.entry_price)
        if began is None:
            reject()
        start = Position("X")
        if began.episode is not None:
            start = Position("X", began.episode.size, began.episode.entry_price)
        told = fold(start, fills[began.first :])
        assert told.size == end.size
        assert abs(told.entry_price - end.entry_price) < Decimal("1E-9")


@given(SIZES, PRICES, FILLS)
def test_the_first_entry_price_comes_back_unless_too_little_is_left_of_it(size, entry, fills):
    fills = waited(fills)
    before = [size + sum((fill.size for fill in fills[:n]), ZERO) for n in range(len(fills) + 1)]
    assume(all(one * size > 0 for one in before))
    with localcontext(EXACT):
        end = fold(Position("X", size, entry), fills)
        began = beginning("X", size, fills, end.entry_price)
        if share(size, fills) < LEAST_SHARE:
            assert began is None
            return
        assert began is not None
        assert began.first == 0
        assert began.episode is not None
        assert began.episode.entry_price is not None
        assert abs(began.episode.entry_price - entry) < Decimal("1E-9")
        # Nobody knows what it was before.
        assert (began.episode.size, began.episode.opened_at_ms) == (size, None)


@given(FILLS, PRICES)
def test_who_began_flat_has_no_secrets(fills, entry):
    began = beginning("X", ZERO, waited(fills), entry)

    assert began == Beginning(None, 0)


@pytest.mark.parametrize("added", [18, Decimal("19.5")])
def test_the_entry_price_is_solved_down_to_a_twentieth_of_the_position(added):
    fills = waited([(Decimal(added), Decimal(100))])
    end = fold(Position("X", Decimal(1), Decimal(80)), fills)
    began = beginning("X", Decimal(1), fills, end.entry_price)

    assert (began is None) is (added == Decimal("19.5"))


def test_a_close_from_an_unknown_entry_stays_unknown_and_what_follows_does_not():
    closed = waited([(Decimal(-2), Decimal(90)), (Decimal(3), Decimal(80))])
    flipped = waited([(Decimal(1), Decimal(70)), (Decimal(-5), Decimal(90))])

    assert beginning("X", Decimal(2), closed, Decimal(80)) == Beginning(None, 1)
    began = beginning("X", Decimal(2), flipped, Decimal(90))
    assert began == Beginning(Episode("X", Decimal(-2), Decimal(90), 1, Decimal(2)), 2)


def test_an_entry_price_that_cannot_be_is_unknown():
    fills = waited([(Decimal(1), Decimal(100))])

    assert beginning("X", Decimal(1), fills, Decimal(40)) is None
