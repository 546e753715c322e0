"""The simulator's books add up."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.accounts import ZERO, Account, Position, apply_fill, direction
from simulator.listing import SPOT
from simulator.venue import Venue
from tests.simulator.feed_client import small

OPENED = Position(ZERO, ZERO, 5, isolated=False, opened_ms=1)
sizes = st.integers(-500, 500).filter(bool).map(lambda lots: Decimal(lots) / 100)
prices = st.integers(1, 99_999).map(lambda ticks: Decimal(ticks) / 10)
fills = st.lists(st.tuples(sizes, prices), min_size=1, max_size=30)


@given(fills)
def test_no_fill_loses_a_digit(sequence):
    position, realised, size, cash = None, ZERO, ZERO, ZERO
    for delta, price in sequence:
        position, profit = apply_fill(position, delta, price, opened=OPENED)
        realised += profit
        size += delta
        cash -= delta * price
    held, cost = (position.size, position.cost) if position else (ZERO, ZERO)
    assert held == size
    assert realised - cost == cash


@given(fills)
def test_realised_profit_is_that_of_the_average_entry(sequence):
    position, size, entry = None, Fraction(0), Fraction(0)
    for delta, price in sequence:
        position, profit = apply_fill(position, delta, price, opened=OPENED)
        change, at = Fraction(delta), Fraction(price)
        expected = Fraction(0)
        if size * change >= 0:
            entry = (size * entry + change * at) / (size + change)
        else:
            closed = min(abs(change), abs(size))
            expected = closed * (at - entry) * (1 if size > 0 else -1)
            if abs(change) > abs(size):
                entry = at
        size += change
        assert abs(Fraction(profit) - expected) < Fraction(1, 10**6)
        if position is not None:
            assert abs(Fraction(position.entry_price) - entry) < Fraction(1, 10**4)


@given(st.integers(-9, 9), st.integers(-9, 9).filter(bool))
def test_the_direction_follows_from_position_and_size(start, delta):
    text = direction(Decimal(start), Decimal(delta))
    if start * (start + delta) < 0:
        assert text == ("Long > Short" if start > 0 else "Short > Long")
    elif abs(start + delta) > abs(start):
        assert text == ("Open Long" if delta > 0 else "Open Short")
    else:
        assert text == ("Close Long" if start > 0 else "Close Short")


def naive_value(account: Account, venue: Venue) -> Decimal:
    """deposits - withdrawals + realised - fees + funding + unrealised, term by term."""
    unrealised = sum(
        (
            p.size * (venue.ledger.mark(coin) - p.entry_price)
            for coin, p in account.positions.items()
        ),
        ZERO,
    )
    return (
        account.deposits
        - account.withdrawals
        + account.realised
        - account.fees
        + account.funding
        + unrealised
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sizes_sum_to_zero_and_values_add_up_to_the_cent(seed):
    venue = Venue(small(seed=seed, volatility=6.0))
    for _ in range(1_500):
        venue.next_block()
    accounts = list(venue.ledger.accounts.values())
    for coin in venue.coins:
        assert sum((a.positions[coin].size for a in accounts if coin in a.positions), ZERO) == 0
    for account in accounts:
        cents = abs(account.value(venue.ledger.mark) - naive_value(account, venue))
        assert cents < Decimal("0.01")
    assert sum(a.realised + a.unrealised(venue.ledger.mark) for a in accounts) == 0


def test_the_money_of_an_account_is_the_money_of_its_fills():
    venue = Venue(small(history_per_account=100_000))
    for _ in range(500):
        venue.next_block()
    for account in venue.ledger.accounts.values():
        if account.exempt:
            continue
        rows = [change.fill for change in account.changes if change.fill is not None]
        signed = [(f.size if f.buys else -f.size, f) for f in rows]
        paid = sum((delta * f.price for delta, f in signed), ZERO)
        held = sum((p.cost for p in account.positions.values()), ZERO)
        assert account.realised == held - paid
        assert account.fees == sum((f.fee for f in rows), ZERO)
        chain: dict[str, Decimal] = {}
        for delta, fill in signed:
            assert fill.start == chain.get(fill.coin, ZERO)
            chain[fill.coin] = fill.start + delta


def test_liquidations_deposits_withdrawals_flips_and_funding_happen():
    venue = Venue(
        small(seed=5, traders=500, volatility=4.0, speed=600.0, funding_interval_seconds=3600.0)
    )
    before = {key: account.deposits for key, account in venue.ledger.accounts.items()}
    dirs = set()
    for _ in range(2_500):
        venue.next_block()
    for account in venue.ledger.accounts.values():
        dirs |= {change.fill.dir for change in account.changes if change.fill is not None}
    accounts = venue.ledger.accounts
    assert venue.liquidations.market_total
    assert venue.liquidations.backstop_total
    assert any(account.deposits > before.get(key, ZERO) for key, account in accounts.items())
    assert any(account.withdrawals for account in accounts.values())
    assert any(account.funding > 0 for account in accounts.values())
    assert any(account.funding < 0 for account in accounts.values())
    assert {"Long > Short", "Short > Long", "Open Long", "Close Short"} <= dirs


def test_the_state_of_the_past_can_be_told():
    venue = Venue(small(history_per_account=5_000))
    known: dict[int, dict[tuple[str, str], dict[str, Decimal]]] = {}
    for _ in range(60):
        venue.next_block()
        known[venue.now_ms] = {
            key: {coin: p.size for coin, p in account.positions.items()}
            for key, account in venue.ledger.accounts.items()
        }
    for time_ms, states in known.items():
        for key, sizes_then in states.items():
            _, positions = venue.ledger.accounts[key].at(time_ms)
            assert {coin: p.size for coin, p in positions.items()} == sizes_then


def test_spot_holdings_of_ordinary_traders_are_never_negative():
    venue = Venue(small(seed=9))
    for _ in range(800):
        venue.next_block()
    for (_, dex), account in venue.ledger.accounts.items():
        if dex == SPOT and not account.exempt:
            assert all(p.size > 0 for p in account.positions.values())


def test_a_frozen_position_cannot_be_changed_behind_the_ledger():
    with pytest.raises(AttributeError):
        OPENED.size = Decimal(1)  # type: ignore[misc]
    assert msgspec.structs.replace(OPENED, size=Decimal(2)).size == 2


def test_the_ruined_are_liquidated_in_the_order_of_the_block():
    venue = Venue(small(traders=0))
    coin = venue.coins["BTC"]
    victims = [f"0x{number:040x}" for number in range(1, 13)]
    venue.open_block(coin)
    trades = [
        trade for user in victims for trade in venue.order(user, coin, Decimal("0.1"), parts=1)
    ]
    venue.close_block(coin, trades)
    venue.liquidations.look(trades, coin)
    order = []
    while (block := venue.liquidations.take(venue)) is not None:
        order += [user for user in block.trades[0].users if user in victims]
    assert order == victims
