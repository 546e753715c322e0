"""Flows, returns and their index, by example and by law."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from traders.equity import LARGEST_INDEX, chained, inferred_flow, period_return, tracked_pnl
from traders.positions import ZERO, Position, diff

D = Decimal
VALUES = st.decimals("0", "1000000", places=2)


SIZES = st.decimals("-1000", "1000", places=3)
PRICES = st.decimals("0.01", "90000", places=2)


@dataclass
class Holding:
    """A position as a snapshot tells it."""

    size: Decimal
    mark_price: Decimal | None
    funding_since_open: Decimal | None = None


def holdings(size, mark, funding=None):
    return {"BTC": Holding(size, mark, funding)} if size else {}


def earned(before, after, steps=(), fees=ZERO):
    return tracked_pnl(before, after, steps, fees)


def rate(before, now, flow=ZERO):
    return period_return(before, now, flow)


def change_of_size(before, after):
    return diff({"BTC": Position("BTC", before)}, {"BTC": Position("BTC", after)})


def test_fees_and_funding_are_taken_from_what_the_marks_earned():
    before, after = holdings(D(2), D(100), D("0.5")), holdings(D(2), D(103), D("0.75"))

    assert earned(before, after, [], D("0.1")) == (D("5.65"), 0)


def test_the_funding_of_a_flipped_position_is_not_that_of_the_one_before():
    before, after = holdings(D(2), D(100), D(7)), holdings(D(-2), D(100), D(1))
    steps = [(one, D(100)) for one in change_of_size(D(2), D(-2))]

    assert earned(before, after, steps) == (0, 0)


def test_nothing_is_known_to_be_earned_where_a_price_is_unknown():
    held, [close] = holdings(D(2), D(100)), change_of_size(D(2), D(0))

    assert earned(held, {}, [(close, None)]) == (None, 0)
    assert earned(holdings(D(2), None), held) == (None, 0)
    assert earned(held, holdings(D(2), None)) == (None, 0)


def test_a_price_that_is_only_a_mark_is_in_doubt_by_its_distance_from_the_mark_before():
    [close] = change_of_size(D(2), D(0))

    assert earned(holdings(D(2), D(100)), {}, [(close, D(90))]) == (-20, 20)


@given(SIZES, SIZES, PRICES, PRICES, PRICES)
def test_cash_and_positions_change_by_what_was_earned(size_before, size_after, old, new, price):
    before, after = holdings(size_before, old), holdings(size_after, new)
    steps = [(one, price) for one in change_of_size(size_before, size_after)]

    pnl, _ = earned(before, after, steps)

    cash = -(size_after - size_before) * price
    assert pnl == cash + size_after * new - size_before * old


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
