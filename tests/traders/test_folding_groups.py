"""What one trader bought, or sold, of a coin in one block: its price and its fee rate."""

from __future__ import annotations

from decimal import localcontext
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tests.traders.fills import START_MS
from traders import folding
from traders.episodes import EXACT, MAKER_FEE, TAKER_FEE

FILLS = st.lists(
    st.tuples(
        st.decimals("0.001", "9", places=3), st.decimals("0.1", "9", places=2), st.booleans()
    ),
    min_size=1,
    max_size=4,
)


@given(FILLS)
def test_price_and_fee_rate_of_a_group_are_the_weighted_ones(fills):
    block = folding.Block(1, "BTC", START_MS)
    with localcontext(EXACT):
        for size, price, is_taker in fills:
            block.add(size, price, is_taker=is_taker)
        [group] = block.groups

        worth = [Fraction(size) * Fraction(price) for size, price, _ in fills]
        rates = [Fraction(TAKER_FEE if is_taker else MAKER_FEE) for *_, is_taker in fills]
        notional = sum(worth, Fraction(0))
        paid = sum((one * rate for one, rate in zip(worth, rates, strict=True)), Fraction(0))
        mean = notional / sum((Fraction(size) for size, *_ in fills), Fraction(0))
        assert abs(Fraction(group.price) - mean) <= Fraction(1, 2 * 10**18)
        assert abs(Fraction(group.fee_rate) - paid / notional) < Fraction(1, 10**100)
