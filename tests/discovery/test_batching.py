"""Laws of the way from frames to batches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.batching import SeenTrades, TradeQueue, dex_of, sightings
from exchange.wire import Trade
from tests.discovery.trades import TRADES, trade


def key(one: Trade) -> tuple[str, int, int]:
    """Return what makes a trade itself."""
    return (one.coin, one.time_ms, one.tid)


@given(TRADES, st.integers(1, 7))
def test_every_trade_comes_out_once_in_order_of_arrival_however_it_is_cut(trades, limit):
    queue = TradeQueue()
    out: list[Trade] = []
    for start in range(0, len(trades), limit):
        queue.offer(trades[start : start + limit])
        batch = queue.first(limit)
        queue.done(len(batch))
        out += batch
    while batch := queue.first(limit):
        queue.done(len(batch))
        out += batch

    assert [key(one) for one in out] == list(dict.fromkeys(map(key, trades)))
    assert (queue.received, queue.unique) == (len(trades), len(out))


@given(TRADES, TRADES)
def test_a_second_socket_adds_only_what_the_first_did_not_bring(first, second):
    queue = TradeQueue()
    queue.offer(first)
    queue.offer(second)

    assert queue.unique == len({key(one) for one in first + second})


@given(TRADES, st.integers(1, 5))
def test_a_full_queue_counts_what_it_refuses_and_takes_it_later(trades, capacity):
    queue = TradeQueue(capacity=capacity)
    queue.offer(trades)
    assert len(queue) <= capacity
    repeats = queue.received - queue.unique - queue.overflowed
    assert repeats >= 0

    out: set[tuple[str, int, int]] = set()
    while len(out) < len({key(one) for one in trades}):
        batch = queue.first(capacity)
        queue.done(len(batch))
        out |= {key(one) for one in batch}
        queue.offer(trades)
    assert out == {key(one) for one in trades}


@given(TRADES, st.integers(1, 4))
def test_a_batch_stays_until_it_is_done(trades, limit):
    queue = TradeQueue()
    queue.offer(trades)

    assert queue.first(limit) == queue.first(limit)
    before = len(queue)
    batch = queue.first(limit)
    queue.done(len(batch))
    assert len(queue) == before - len(batch)


@given(st.lists(st.integers(0, 60), max_size=300), st.integers(1, 10))
def test_the_last_trades_of_a_coin_are_always_known_and_a_new_one_never_is(tids, window):
    seen = SeenTrades(window=window)
    added: list[int] = []
    for tid in tids:
        one = trade(tid)
        if tid in added[-window:]:
            assert one in seen
        if tid not in added:
            assert one not in seen
        if one not in seen:
            seen.add(one)
            added.append(tid)


def test_a_busy_coin_does_not_push_out_a_quiet_one():
    seen = SeenTrades(window=2)
    quiet = trade(1, coin="ETH")
    seen.add(quiet)
    for tid in range(100):
        seen.add(trade(tid))

    assert quiet in seen


@pytest.mark.parametrize("coins", [1, 3])
def test_names_without_end_do_not_fill_the_memory(coins):
    seen = SeenTrades(coins=coins)
    for number in range(50):
        seen.add(trade(1, coin=f"C{number}"))

    assert sum(trade(1, coin=f"C{number}") in seen for number in range(50)) == coins
    assert trade(1, coin="C49") in seen


@given(TRADES)
def test_both_sides_of_every_trade_are_seen_on_its_dex(trades):
    expected = set()
    for one in trades:
        dex = one.coin.partition(":")[0] if ":" in one.coin else ""
        expected |= {(one.buyer, dex), (one.seller, dex)}

    assert sightings(trades) == expected


@pytest.mark.parametrize(
    ("coin", "dex"),
    [
        ("BTC", ""),
        ("xyz:TSLA", "xyz"),
        ("@107", ""),
        ("PURR/USDC", ""),
        (":X", ""),
        ("a dex:X", ""),
        ("sixteen_letters_:X", ""),
        ("fifteen_letters:X", "fifteen_letters"),
    ],
)
def test_a_dex_is_what_stands_before_the_colon_if_it_can_be_one(coin, dex):
    assert dex_of(coin) == dex
