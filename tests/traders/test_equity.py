"""Flows, returns and their index, by example and by law."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from traders.equity import LARGEST_INDEX, chained, inferred_flow, period_return

D = Decimal
VALUES = st.decimals("0", "1000000", places=2)


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
    lost = period_return(D(100), D(-40), D(0))

    assert lost == -1
    assert chained(chained(D(1), lost), D(5)) == 0


@given(VALUES, VALUES, st.decimals("-1000000", "1000000", places=2))
def test_no_return_is_below_minus_one_and_no_index_leaves_its_bounds(before, now, flow):
    earned = period_return(before, now, flow)

    if earned is not None:
        assert earned >= -1
        assert 0 <= chained(D(3), earned) <= LARGEST_INDEX


@given(VALUES.filter(lambda value: value >= 10), VALUES)
def test_a_mere_deposit_leaves_the_index(before, deposit):
    assert period_return(before, before + deposit, deposit) == 0


@given(st.decimals("10", "1000000", places=2), VALUES, st.integers(2, 1000))
def test_the_return_does_not_depend_on_the_unit_of_money(before, now, unit):
    whole = period_return(before * unit, now * unit, D(0))

    assert abs(whole - period_return(before, now, D(0))) < D("1E-30")
