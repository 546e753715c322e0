"""Prices, listing, determinism and the shape of the simulated flow."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.listing import SPOT, default_coins, meta
from simulator.market import price_decimals
from simulator.matching import split
from simulator.venue import Venue
from simulator.wire import ZERO_HASH
from tests.simulator.feed_client import START_MS, small

DIGEST = """
import hashlib
from simulator.config import SimulatorConfig
from simulator.venue import Venue
venue = Venue(
    SimulatorConfig(
        seed={seed}, traders=300, start_ms={start}, warmup_trades=900, volatility=5.0, speed=3000.0
    )
)
digest = hashlib.sha256()
for _ in range(1500):
    digest.update(venue.next_block().frame)
print(digest.hexdigest())
"""


def obeys_tick_rule(price: Decimal, size_decimals: int, limit: int) -> bool:
    if price == price.to_integral_value():
        return True
    exponent = price.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return len(price.normalize().as_tuple().digits) <= 5 and -exponent <= limit - size_decimals


@given(st.floats(1e-4, 9e5), st.integers(0, 5), st.booleans())
def test_every_price_obeys_the_tick_rule(price, size_decimals, spot):
    shown = Decimal(f"{price:.{price_decimals(price, size_decimals, spot=spot)}f}")
    assert obeys_tick_rule(shown, size_decimals, 8 if spot else 6)


@given(st.integers(1, 10_000), st.integers(1, 49), st.randoms(use_true_random=False))
def test_parts_of_an_order_add_up(lots, parts, rng):
    lot = Decimal("0.01")
    pieces = split(lots * lot, lot, parts, rng)
    assert sum(pieces) == lots * lot
    assert len(pieces) <= parts
    assert all(piece >= lot and piece % lot == 0 for piece in pieces)


def digest(seed: int, hash_seed: str) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    script = DIGEST.format(seed=seed, start=START_MS)
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_the_same_seed_gives_the_same_blocks_byte_for_byte():
    assert digest(4, "1") == digest(4, "2")
    assert digest(4, "1") != digest(5, "1")


def test_the_listing_is_realistic():
    coins = default_coins()
    main = [coin for coin in coins if coin.dex == ""]
    names = [coin.name for coin in main]
    assert len(names) >= 60
    assert {"BTC", "ETH", "SOL", "HYPE", "kPEPE"} <= set(names)
    delisted = {coin.name for coin in main if coin.delisted}
    assert "MATIC" in delisted
    assert len(delisted) >= 5
    assert [row["name"] for row in meta(main)["universe"]] == names
    assert {coin.name for coin in coins if coin.dex == "xyz"} >= {"xyz:TSLA"}
    assert len({coin.name for coin in coins}) == len(coins)


@pytest.fixture(scope="module")
def flow():
    """Blocks of a busy market."""
    venue = Venue(small(seed=8, traders=400, coins=()))
    return venue, [venue.next_block() for _ in range(6_000)]


def test_prices_sizes_and_users_are_as_the_exchange_sends_them(flow):
    venue, blocks = flow
    for block in blocks:
        coin = venue.coins[block.coin]
        for trade in block.trades:
            price, size = Decimal(trade.px), Decimal(trade.sz)
            assert obeys_tick_rule(price, coin.size_decimals, 8 if coin.dex == SPOT else 6)
            assert size > 0
            assert size % coin.lot == 0
            assert "." in trade.px
            assert trade.users[0] != trade.users[1]
            assert 0 <= trade.tid < 2**50


def test_a_coins_blocks_never_share_a_time_and_never_go_back(flow):
    _, blocks = flow
    newest: dict[str, int] = {}
    for block in blocks:
        assert block.trades
        assert {(trade.coin, trade.time) for trade in block.trades} == {(block.coin, block.time_ms)}
        assert block.time_ms > newest.get(block.coin, 0)
        newest[block.coin] = block.time_ms


def test_frames_hashes_and_activity_have_the_measured_shape(flow):
    _, blocks = flow
    lengths = Counter(len(block.trades) for block in blocks)
    assert 0.60 < lengths[1] / len(blocks) < 0.74
    assert max(lengths) > 24
    trades = [trade for block in blocks for trade in block.trades]
    assert 0.10 < sum(trade.hash == ZERO_HASH for trade in trades) / len(trades) < 0.22
    legs = Counter(user for trade in trades for user in trade.users)
    assert len(legs) > 250
    assert sum(count for _, count in legs.most_common(10)) / (2 * len(trades)) > 0.15
    assert {"BTC", "HYPE"} & {coin for coin, _ in Counter(b.coin for b in blocks).most_common(2)}
    assert not any(block.coin == "MATIC" for block in blocks)
