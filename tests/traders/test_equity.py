"""Flows, returns and their index, by example and by law."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from traders import episodes, positions
from traders.equity import (
    LARGEST_INDEX,
    Profit,
    chained,
    funding_paid,
    inferred_flow,
    period_return,
    price_doubt,
    tracked_pnl,
    unrealised_pnl,
)
from traders.positions import ZERO, Fill, Position, diff

D = Decimal
PRICE = D(100)
VALUES = st.decimals("0", "1000000", places=2)
PRICES = st.decimals("0.01", "90000", places=2)
FILLS = st.builds(
    *(Fill, st.just("BTC"), st.sampled_from(["BUY", "SELL"]), PRICES),
    st.decimals("0.001", "1000", places=3),
)


@dataclass
class Holding:
    """A position as a snapshot tells it."""

    size: Decimal
    mark_price: Decimal | None
    funding_since_open: Decimal | None = None


def holdings(size, mark=PRICE, funding=None):
    return {"BTC": Holding(size, mark, funding)} if size else {}


def rate(before, now, flow=ZERO):
    return period_return(before, now, flow)


def change_of_size(before, after):
    return diff({"BTC": Position("BTC", before)}, {"BTC": Position("BTC", after)})


def test_open_positions_and_what_was_realised_are_earned_and_funding_is_paid():
    before, now = Profit(D(10), D(100)), Profit(D(-5), D(130))

    assert tracked_pnl(before, now, D("0.25")) == D("14.75")


def test_nothing_is_known_to_be_earned_where_a_part_is_unknown():
    known = Profit(D(1), D(1))

    for unknown in (Profit(None, D(1)), Profit(D(1), None)):
        assert tracked_pnl(unknown, known) is None
        assert tracked_pnl(known, unknown) is None


def test_a_position_is_worth_more_by_its_mark_and_unknown_without_one():
    short = Holding(D(-2), D(90))

    assert unrealised_pnl([(short, D(100)), (Holding(D(1), D(5)), D(4))]) == 21
    assert unrealised_pnl([(short, D(100)), (Holding(D(1), None), D(4))]) is None
    assert unrealised_pnl([]) == 0


def test_the_funding_of_a_flipped_position_is_not_that_of_the_one_before():
    held = holdings(D(2), funding=D("0.5"))

    assert funding_paid(held, holdings(D(3), funding=D("0.75"))) == D("0.25")
    assert funding_paid(held, holdings(D(-2), funding=D(1))) == 0
    assert funding_paid(held, holdings(D(2))) == 0


def test_a_price_that_is_only_a_mark_is_in_doubt_by_its_distance_from_the_mark_before():
    [close] = diff({"BTC": Position("BTC", D(2))}, {})
    [opened] = diff({}, {"BTC": Position("BTC", D(2), D(90))})

    assert price_doubt(holdings(D(2)), [(close, D(90))]) == 20
    assert price_doubt(holdings(D(2)), [(close, None)]) == 0
    assert price_doubt({}, [(opened, D(90))]) == 0


@given(st.lists(FILLS, max_size=8), st.lists(FILLS, max_size=8), PRICES, PRICES)
def test_what_was_earned_is_what_cash_and_positions_have_become_more(earlier, later, old, new):
    def play(fills, position, episode, realised):
        for fill in fills:
            position, changes = positions.apply(position, fill)
            for change in changes:
                step = episodes.apply(episode, change, price=fill.price, at_ms=1)
                episode, realised = step.episode, realised + step.realised - step.fee
        return position, episode, realised

    def profit(position, mark, realised):
        held = Holding(position.size, mark)
        return Profit(unrealised_pnl([(held, position.entry_price)]), realised)

    before, episode, realised = play(earlier, Position("BTC"), None, ZERO)
    after, _, realised_after = play(later, before, episode, realised)

    cash = -sum(fill.signed_size * fill.price for fill in later)
    fees = sum(fill.size * fill.price * episodes.TAKER_FEE for fill in later)
    pnl = tracked_pnl(profit(before, old, realised), profit(after, new, realised_after))
    assert abs(pnl - (cash - fees + after.size * new - before.size * old)) < D("1E-9")


def test_a_jump_that_trading_does_not_explain_is_a_flow():
    assert inferred_flow(D(1000), D("2049.5"), D(50)) == D("999.5")
    assert inferred_flow(D(1000), D(400), D(0)) == -600


def test_a_small_remainder_is_unmodelled_cost():
    assert inferred_flow(D(1000), D(1048), D(50)) == 0
    assert inferred_flow(D(100), D("104.99"), D(0)) == 0
    assert inferred_flow(D(100), D("105.01"), D(0)) == D("5.01")


def test_what_uncertain_prices_may_explain_is_no_flow():
    assert inferred_flow(D(1000), D(1090), D(0), D(100)) == 0
    assert inferred_flow(D(1000), D(1200), D(0), D(100)) == 200


def test_nothing_is_a_flow_where_the_earnings_are_unknown():
    assert inferred_flow(D(1000), D(5000), None) == 0


def test_a_deposit_is_in_the_base_and_a_withdrawal_is_not_taken_from_it():
    assert period_return(D(1000), D(2100), D(1000)) == D("0.05")
    assert period_return(D(1000), D(150), D(-900)) == D("0.05")


def test_a_dust_account_has_no_return():
    assert period_return(D("9.99"), D(50), D(0)) is None
    assert period_return(D(-500), D(0), D(0)) is None


def test_a_wiped_out_account_stays_at_nothing():
    lost = rate(D(100), D(-40))

    assert lost == -1
    assert chained(chained(D(1), lost), D(5)) == 0


@given(VALUES, VALUES, st.decimals("-1000000", "1000000", places=2))
def test_no_return_is_below_minus_one_and_no_index_leaves_its_bounds(before, now, flow):
    change = period_return(before, now, flow)

    if change is not None:
        assert change >= -1
        assert 0 <= chained(D(3), change) <= LARGEST_INDEX


@given(VALUES.filter(lambda value: value >= 10), VALUES)
def test_a_mere_deposit_leaves_the_index(before, deposit):
    assert period_return(before, before + deposit, deposit) == 0


@given(st.decimals("10", "1000000", places=2), VALUES, st.integers(2, 1000))
def test_the_return_does_not_depend_on_the_unit_of_money(before, now, unit):
    assert abs(rate(before * unit, now * unit) - rate(before, now)) < D("1E-30")
