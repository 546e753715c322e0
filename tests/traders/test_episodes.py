"""What a position earns from flat to flat, by example and by law."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traders import positions
from traders.episodes import LARGEST_USD, MAKER_FEE, TAKER_FEE, Episode, apply, watched_late
from traders.positions import Change, Fill, Position

D = Decimal
#: What one rounding to 18 decimals can move, for the sizes and the number of steps drawn here.
ROOM = Fraction(1, 10**9)


def fills(coin="BTC"):
    sizes = st.decimals("0.001", "1000", places=3)
    prices = st.decimals("0.01", "90000", places=2)
    return st.builds(Fill, st.just(coin), st.sampled_from(["BUY", "SELL"]), prices, sizes)


def run(many, *, start=None, at_ms=1, price=None, fee_rate=TAKER_FEE):
    """Fold fills, each 1 ms after the one before; return the episode at the end and all steps."""
    position, episode, steps = start or Position(many[0].coin if many else "BTC"), None, []
    if start and start.size:
        episode = watched_late(start)
    for number, fill in enumerate(many):
        position, changes = positions.apply(position, fill)
        for change in changes:
            step = apply(
                episode,
                change,
                price=price or change.price,
                at_ms=at_ms + number,
                fee_rate=fee_rate,
            )
            episode = step.episode
            steps.append(step)
    return episode, steps


def step(episode, change, price, *, at_ms=1, **values):
    return apply(episode, change, price=price and D(price), at_ms=at_ms, **values)


def buy(size, price):
    return Fill("BTC", "BUY", D(price), D(size))


def sell(size, price):
    return Fill("BTC", "SELL", D(price), D(size))


def trips(steps):
    return [step.round_trip for step in steps if step.round_trip]


def test_a_round_trip_earns_the_difference_of_prices_less_taker_fees_both_ways():
    _, steps = run([buy(2, 100), sell(2, 110)], at_ms=5)

    [trip] = trips(steps)
    assert (trip.side, trip.opened_at_ms, trip.closed_at_ms) == ("LONG", 5, 6)
    assert (trip.gross_pnl, trip.fees, trip.net_pnl) == (20, D("0.189"), D("19.811"))
    assert (trip.complete, trip.held_ms) == (True, 1)


def test_a_maker_pays_a_third_of_what_a_taker_pays():
    _, made = run([buy(2, 100), sell(2, 110)], fee_rate=MAKER_FEE)

    assert [one.fee for one in made] == [D("0.03"), D("0.033")]


def test_scaling_in_and_out_is_one_round_trip():
    episode, steps = run([sell(1, 100), sell(3, 120), buy(2, 125), buy(1, 110)])

    assert trips(steps) == []
    assert episode == Episode("BTC", D(-1), D(115), 1, D(4), D(-15), episode.fees)
    assert [step.realised for step in steps] == [0, 0, -20, 5]


def test_a_flip_ends_one_episode_and_begins_the_next():
    episode, steps = run([buy(2, 100), sell(5, 90)], at_ms=7)

    [trip] = trips(steps)
    assert (trip.side, trip.gross_pnl, trip.peak_size) == ("LONG", -20, 2)
    assert episode == Episode("BTC", D(-3), D(90), 8, D(3), D(0), D("0.1215"))
    assert sum(step.volume for step in steps) == 650


def test_what_was_there_before_the_trader_was_watched_is_not_complete():
    _, steps = run([sell(3, 110)], start=Position("BTC", D(3), D(100)))

    [trip] = trips(steps)
    assert (trip.complete, trip.opened_at_ms, trip.held_ms) == (False, None, None)
    assert trip.gross_pnl == 30


def test_a_reduction_without_a_price_makes_the_result_unknown_for_good():
    start = watched_late(Position("BTC", D(3), D(100)))
    down = Change("DECREASE", "BTC", "SELL", D(3), D(1), None)
    gone = Change("CLOSE", "BTC", "SELL", D(1), D(0), None)

    first = step(start, down, None)
    last = step(first.episode, gone, 120, funding=D(-1))

    assert (first.realised, first.volume, first.fee) == (None, 0, 0)
    assert (last.realised, last.volume) == (20, 120)
    assert (last.round_trip.gross_pnl, last.round_trip.net_pnl) == (None, None)


def test_funding_can_turn_a_win_into_a_loss_and_counts_as_none_where_unknown():
    opened, _ = run([buy(1, 100)], fee_rate=D(0))
    gone = Change("CLOSE", "BTC", "SELL", D(1), D(0), None)

    def net(funding):
        last = step(opened, gone, "100.3", fee_rate=D(0), funding=funding)
        return last.round_trip.net_pnl

    assert net(D("-0.5")) == D("-0.2")
    assert net(None) == D("0.3")


def test_an_amount_beyond_all_reason_is_unknown():
    start = watched_late(Position("BTC", LARGEST_USD, D(1)))
    gone = Change("CLOSE", "BTC", "SELL", LARGEST_USD, D(0), None)

    last = step(start, gone, LARGEST_USD)

    assert (last.volume, last.realised, last.round_trip.net_pnl) == (0, None, None)


def test_a_change_that_begins_elsewhere_is_refused():
    change = Change("CLOSE", "BTC", "SELL", D(2), D(0), D(1))

    with pytest.raises(ValueError, match="does not follow"):
        step(watched_late(Position("BTC", D(3), D(1))), change, 1)
    with pytest.raises(ValueError, match="does not follow"):
        step(watched_late(Position("ETH", D(2), D(1))), change, 1)


@given(st.lists(fills(), min_size=1, max_size=15), st.decimals("0.01", "90000", places=2))
def test_what_episodes_earned_and_what_is_open_is_all_that_was_earned(many, mark):
    episode, steps = run(many)

    earned = sum((Fraction(trip.gross_pnl) for trip in trips(steps)), Fraction(0))
    if episode:
        worth = Fraction(episode.size) * (Fraction(mark) - Fraction(episode.entry_price))
        earned += Fraction(episode.realised_pnl) + worth
    size = sum((Fraction(one.signed_size) for one in many), Fraction(0))
    cash = -sum((Fraction(one.signed_size) * Fraction(one.price) for one in many), Fraction(0))
    assert abs(earned - (cash + size * Fraction(mark))) < ROOM


@given(st.lists(fills(), min_size=1, max_size=15), st.integers(2, 1000))
def test_larger_sizes_earn_in_proportion(many, factor):
    larger = [Fill(one.coin, one.side, one.price, one.size * factor) for one in many]

    (_, steps), (_, larger_steps) = run(many), run(larger)

    for one, other in zip(trips(steps), trips(larger_steps), strict=True):
        assert other.side == one.side
        assert other.peak_size == one.peak_size * factor
        assert abs(Fraction(other.gross_pnl) - Fraction(one.gross_pnl) * factor) < ROOM
        assert abs(Fraction(other.fees) - Fraction(one.fees) * factor) < ROOM


@given(st.lists(fills(), min_size=1, max_size=15))
def test_a_flip_has_exactly_one_end_and_one_beginning(many):
    position, episode = Position("BTC"), None
    for fill in many:
        before = position
        position, changes = positions.apply(position, fill)
        steps = []
        for change in changes:
            steps.append(apply(episode, change, price=change.price, at_ms=1))
            episode = steps[-1].episode
        if before.size * position.size < 0:
            ended, begun = steps
            assert ended.round_trip is not None
            assert ended.episode is None
            assert begun.episode is not None
            assert begun.episode.realised_pnl == begun.realised == 0
        assert (episode.size if episode else 0) == position.size


@given(st.lists(fills(), max_size=8), st.lists(fills("ETH"), max_size=8), st.randoms())
def test_coins_do_not_disturb_each_other(bitcoin, ether, random):
    mixed = [*bitcoin, *ether]
    order = {"BTC": iter(bitcoin), "ETH": iter(ether)}
    random.shuffle(mixed)
    state: dict[str, Any] = {coin: (Position(coin), None, []) for coin in order}
    for coin in [one.coin for one in mixed]:
        position, episode, steps = state[coin]
        position, changes = positions.apply(position, next(order[coin]))
        for change in changes:
            steps.append(apply(episode, change, price=change.price, at_ms=1))
            episode = steps[-1].episode
        state[coin] = (position, episode, steps)

    for coin, many in (("BTC", bitcoin), ("ETH", ether)):
        alone, episode = Position(coin), None
        expected = []
        for fill in many:
            alone, changes = positions.apply(alone, fill)
            for change in changes:
                expected.append(apply(episode, change, price=change.price, at_ms=1))
                episode = expected[-1].episode
        assert state[coin] == (alone, episode, expected)
