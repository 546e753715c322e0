"""The average-entry rule and the differences of states, by example and by law."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from traders.positions import Change, Fill, Position, apply, diff

FLAT = Position("BTC")


def fills(coin="BTC"):
    sizes = st.decimals("0.00001", "1000000", places=5)
    prices = st.decimals("0.000001", "200000", places=6)
    return st.builds(Fill, st.just(coin), st.sampled_from(["BUY", "SELL"]), prices, sizes)


def positions(coin="BTC"):
    sizes = st.decimals("-1000000", "1000000", places=5)
    prices = st.decimals("0.000001", "200000", places=6)
    held = st.builds(Position, st.just(coin), sizes.filter(bool), prices)
    return st.one_of(st.just(Position(coin)), held)


def fold(position, many):
    changes: list[Change] = []
    for fill in many:
        position, steps = apply(position, fill)
        changes += steps
    return position, changes


def fill(side, size, price):
    return Fill("BTC", side, Decimal(price), Decimal(size))


def held(size, entry_price):
    return Position("BTC", Decimal(size), Decimal(entry_price))


def change(kind, side, before, after, price):
    known = None if price is None else Decimal(price)
    return Change(kind, "BTC", side, Decimal(before), Decimal(after), known)


def test_it_opens_short_when_a_flat_trader_sells():
    after, changes = apply(FLAT, fill("SELL", "2", "100"))

    assert after == held("-2", "100")
    assert changes == (change("OPEN", "SELL", "0", "-2", "100"),)


def test_an_increase_makes_the_entry_price_the_weighted_average():
    after, changes = apply(held("3", "100"), fill("BUY", "1", "120"))

    assert after == held("4", "105")
    assert changes == (change("INCREASE", "BUY", "3", "4", "120"),)


def test_a_decrease_leaves_the_entry_price():
    after, changes = apply(held("-3", "100"), fill("BUY", "1", "120"))

    assert after == held("-2", "100")
    assert changes == (change("DECREASE", "BUY", "-3", "-2", "120"),)


def test_a_closed_position_is_flat():
    after, changes = apply(held("3", "100"), fill("SELL", "3", "90"))

    assert after == FLAT
    assert changes == (change("CLOSE", "SELL", "3", "0", "90"),)


def test_a_flip_is_close_then_open_at_the_price_of_the_fill():
    after, changes = apply(held("3", "100"), fill("SELL", "5", "90"))

    assert after == held("-2", "90")
    assert changes == (
        change("CLOSE", "SELL", "3", "0", "90"),
        change("OPEN", "SELL", "0", "-2", "90"),
    )


@pytest.mark.parametrize(
    "wrong",
    [
        Fill("ETH", "BUY", Decimal(1), Decimal(1)),
        fill("BUY", "0", "1"),
        fill("BUY", "-1", "1"),
        fill("SELL", "1", "0"),
    ],
)
def test_what_is_not_a_fill_of_the_coin_is_refused(wrong):
    with pytest.raises(ValueError, match="cannot be applied"):
        apply(FLAT, wrong)


def test_a_difference_names_every_coin_that_changed():
    before = {"BTC": held("1", "100"), "ETH": Position("ETH", Decimal(2), Decimal(10))}
    after = {"BTC": held("-1", "90"), "SOL": Position("SOL", Decimal(5), Decimal(20))}

    assert diff(before, after) == (
        change("CLOSE", "SELL", "1", "0", None),
        change("OPEN", "SELL", "0", "-1", "90"),
        Change("CLOSE", "ETH", "SELL", Decimal(2), Decimal(0), None),
        Change("OPEN", "SOL", "BUY", Decimal(0), Decimal(5), Decimal(20)),
    )


def test_an_increase_between_snapshots_has_the_price_that_the_entry_prices_imply():
    [added] = diff({"BTC": held("3", "100")}, {"BTC": held("4", "105")})

    assert added.price == 120


def test_an_increase_has_no_price_where_the_entry_prices_contradict_mere_adding():
    # Half was sold and bought back far lower: the "price" of one more would be below zero.
    [added] = diff({"BTC": held("3", "100")}, {"BTC": held("4", "50")})

    assert added == change("INCREASE", "BUY", "3", "4", None)


@pytest.mark.parametrize(("mark", "price"), [(None, 155), (150, 155), (110, None), (170, None)])
def test_an_increase_has_no_price_that_was_never_traded_at(mark, price):
    # 10 bought and 9 of the 20 sold at 110: the entry prices alone would say 1 bought at 155.
    marked = Decimal(mark) if mark else None
    before = replace(held("10", "100"), mark_price=marked)
    after = replace(held("11", "105"), mark_price=marked)
    [added] = diff({"BTC": before}, {"BTC": after})
    assert (added.kind, added.price) == ("INCREASE", price)


def test_a_price_between_two_distant_marks_is_believed():
    before = replace(held("10", "100"), mark_price=Decimal(90))
    [added] = diff({"BTC": before}, {"BTC": replace(held("11", "105"), mark_price=Decimal(180))})
    assert added.price == 155


def test_a_decrease_and_a_new_entry_price_alone_have_no_price():
    [sold] = diff({"BTC": held("3", "100")}, {"BTC": held("1", "100")})

    assert sold.price is None
    assert diff({"BTC": held("3", "100")}, {"BTC": held("3", "101")}) == ()


@given(positions(), st.lists(fills(), max_size=12))
def test_the_fold_of_fills_nets_to_the_difference_of_the_end_states(start, many):
    end, changes = fold(start, many)

    net = diff({"BTC": start}, {"BTC": end})
    signed = sum((Fraction(one.signed_size) for one in many), Fraction(0))
    assert Fraction(end.size) == Fraction(start.size) + signed
    assert chained(start.size, changes) == end.size
    assert chained(start.size, net) == end.size


def chained(size, changes):
    for one in changes:
        assert one.size_before == size
        assert one.size_before != one.size_after
        size = one.size_after
    return size


@given(positions(), fills())
def test_a_fill_and_its_opposite_leave_the_size(start, one):
    back = Fill(one.coin, "SELL" if one.side == "BUY" else "BUY", one.price, one.size)

    end, _ = fold(start, [one, back])

    assert end.size == start.size


@given(fills(), positions(), positions())
def test_what_the_buyer_gains_the_seller_loses(one, buyer, seller):
    bought, _ = apply(buyer, Fill(one.coin, "BUY", one.price, one.size))
    sold, _ = apply(seller, Fill(one.coin, "SELL", one.price, one.size))

    gained = Fraction(bought.size) - Fraction(buyer.size)
    assert gained + Fraction(sold.size) - Fraction(seller.size) == 0


@given(positions(), fills())
def test_only_a_flip_has_two_changes_and_they_are_close_and_open(start, one):
    end, changes = apply(start, one)

    kinds = [step.kind for step in changes]
    if start.size * end.size < 0:
        assert kinds == ["CLOSE", "OPEN"]
    else:
        assert len(kinds) == 1
    assert all(step.side == one.side and step.price == one.price for step in changes)


@given(positions(), positions())
def test_replaying_a_difference_on_the_state_before_gives_the_state_after(before, after):
    replayed = before
    for step in diff({"BTC": before}, {"BTC": after}):
        size = abs(step.size_after - step.size_before)
        price = step.price or replayed.entry_price
        replayed, [again] = apply(replayed, Fill("BTC", step.side, price, size))
        assert (again.kind, again.size_before, again.size_after) == (
            step.kind,
            step.size_before,
            step.size_after,
        )

    assert replayed.size == after.size
    if after.size and before.size * after.size <= 0:
        assert replayed.entry_price == after.entry_price


@given(positions(), st.lists(fills().filter(lambda one: one.side == "BUY"), min_size=1))
def test_the_price_implied_by_a_difference_is_the_average_of_what_was_added(start, many):
    longs = held(abs(start.size) or 1, start.entry_price or 1)
    end, _ = fold(longs, many)

    [added] = diff({"BTC": longs}, {"BTC": end})

    paid = sum((Fraction(one.size) * Fraction(one.price) for one in many), Fraction(0))
    average = paid / sum((Fraction(one.size) for one in many), Fraction(0))
    # Every entry price is rounded to 18 decimals, by which the size multiplies the error.
    room = (
        Fraction(1, 10**18)
        * (len(many) + 1)
        * Fraction(end.size)
        / (Fraction(end.size) - Fraction(longs.size))
    )
    if average > 2 * room:
        assert added.price is not None
        assert abs(Fraction(added.price) - average) <= room
