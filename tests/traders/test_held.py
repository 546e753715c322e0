"""Positions as readers meet them: live, stale since, or unknown."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.db.models import F

from hlcopy.clock import from_ms
from tests.traders.book import (
    STATE_MS,
    add_coin,
    add_cursor,
    add_gap,
    add_position,
    add_snapshot,
    add_trader,
    add_waiting_fill,
    follow,
)
from traders.held import Account, HeldPosition, account_of, at_one_moment, standings
from traders.models import FeedSocket, Ledger, Position, Trader

pytestmark = pytest.mark.django_db
GAP_MS, BLOCK_MS = STATE_MS - 1000, STATE_MS + 5000
LAST = Decimal("110.5")


@pytest.fixture
def trader() -> Trader:
    """Return a trader whose snapshot told one position, and nothing of the feed."""
    trader = add_trader()
    add_snapshot(trader, "50")
    snapshot = {"notional": Decimal(300), "unrealised_pnl": Decimal(-1), "leverage": 20}
    add_position(trader, "ETH", "-3", entry_price=Decimal(100), **snapshot)
    return trader


def live(*coins: str) -> None:
    """Let the feed carry the coins since before the snapshot."""
    for coin in coins:
        add_coin(coin)
        add_cursor(coin, gap_until_ms=GAP_MS, last_price=LAST, newest_ms=STATE_MS + 70)
    follow(*coins, until_ms=BLOCK_MS)


def doubt(trader: Trader, coin: str, floor: int | None) -> None:
    """Let something speak against a coin."""
    entry = {"floor": floor, "at": BLOCK_MS, "sizes": ["1"]}
    Ledger.objects.filter(pk=trader.pk).update(doubts={coin: entry})


def only(account: Account) -> HeldPosition:
    """Return the one position of the account."""
    (position,) = account.positions
    return position


def test_a_fresh_position_is_worth_what_the_newest_trade_says(trader):
    live("ETH")

    account = account_of(trader)
    assert only(account) == HeldPosition(
        coin="ETH",
        size=Decimal(-3),
        side="SHORT",
        entry_price=Decimal(100),
        notional=Decimal("331.5"),
        unrealised_pnl=Decimal("-31.5"),
        leverage=20,
        known=True,
        stale=False,
        as_of=from_ms(BLOCK_MS),
    )
    assert account.complete_as_of == from_ms(BLOCK_MS)


def test_without_a_feed_a_position_is_as_its_snapshot_told(trader):
    account = account_of(trader)
    position = only(account)

    assert (position.known, position.stale, position.as_of) == (True, True, from_ms(STATE_MS))
    assert (position.notional, position.unrealised_pnl) == (Decimal(300), Decimal(-1))
    assert account.complete_as_of == from_ms(STATE_MS)


def test_a_gap_makes_a_position_stale_from_its_beginning_on(trader):
    live("ETH")
    add_gap("ETH", STATE_MS + 3000, STATE_MS + 3500)
    add_gap("ETH", STATE_MS + 4000, STATE_MS + 4500)

    account = account_of(trader)
    assert (only(account).stale, only(account).as_of) == (True, from_ms(STATE_MS + 3000))
    assert only(account).notional == 300
    assert account.complete_as_of == from_ms(STATE_MS + 3000)


def test_a_gap_before_the_floor_spoils_nothing(trader):
    live("ETH")
    add_gap("ETH", None, STATE_MS - 1, "first")

    assert only(account_of(trader)).stale is False


def test_a_gap_since_ever_that_reaches_the_floor_leaves_the_floor(trader):
    live("ETH")
    add_gap("ETH", None, STATE_MS, "first")

    assert (only(account_of(trader)).stale, only(account_of(trader)).as_of) == (
        True,
        from_ms(STATE_MS),
    )


def test_a_dead_process_leaves_positions_as_of_what_it_had_committed(trader):
    live("ETH")
    FeedSocket.objects.update(seen_at=F("seen_at") - timedelta(seconds=6))

    account = account_of(trader)
    assert (only(account).stale, only(account).as_of) == (True, from_ms(BLOCK_MS))
    assert account.complete_as_of == from_ms(BLOCK_MS)


def test_an_outage_whose_socket_is_forgotten_counts_from_the_newest_trade(trader):
    add_cursor("ETH", gap_until_ms=GAP_MS, newest_ms=STATE_MS + 70)

    assert only(account_of(trader)).as_of == from_ms(STATE_MS + 70)


def test_a_doubted_position_is_stale_though_the_feed_is_whole(trader):
    live("ETH")
    doubt(trader, "ETH", STATE_MS + 10)

    account = account_of(trader)
    assert (only(account).stale, only(account).as_of) == (True, from_ms(STATE_MS + 10))
    assert account.complete_as_of == from_ms(STATE_MS + 10)


def test_a_coin_without_a_base_is_shown_as_unknown_and_the_list_as_incomplete(trader):
    live("ETH", "BTC")
    doubt(trader, "BTC", None)

    account = account_of(trader)
    known, unknown = account.positions
    assert (known.coin, unknown.coin, account.complete_as_of) == ("ETH", "BTC", None)
    assert (unknown.known, unknown.size, unknown.as_of) == (False, None, None)
    assert (unknown.side, unknown.notional, unknown.leverage) == (None, None, None)


def test_who_traded_before_the_first_snapshot_has_unknown_positions():
    trader = add_trader()
    add_waiting_fill(trader, "BTC")
    add_waiting_fill(trader, "BTC", "-2")

    account = account_of(trader)
    assert (only(account).coin, only(account).known) == ("BTC", False)
    assert account.complete_as_of is None


def test_fills_that_still_wait_hide_no_position_that_is_known(trader):
    add_waiting_fill(trader, "ETH")

    assert only(account_of(trader)).known is True


def test_a_base_of_its_own_makes_a_coin_known_without_any_snapshot():
    trader = add_trader()
    live("ETH")
    Ledger.objects.create(trader=trader, bases={"ETH": STATE_MS})
    add_position(trader, "ETH", "2", as_of_ms=None)

    account = account_of(trader)
    assert (only(account).known, only(account).stale) == (True, False)
    assert (only(account).notional, only(account).leverage) == (Decimal(221), None)
    assert account.complete_as_of is None


def test_the_list_is_whole_until_the_first_gap_of_any_coin_that_could_be_held(trader):
    live("ETH", "BTC")
    add_gap("BTC", STATE_MS + 2000, STATE_MS + 2500)

    account = account_of(trader)
    assert only(account).stale is False
    assert account.complete_as_of == from_ms(STATE_MS + 2000)


def test_a_delisted_coin_and_another_dex_spoil_no_list(trader):
    live("ETH")
    add_coin("LUNA", is_delisted=True)
    add_coin("xyz:TSLA", dex="xyz")

    assert account_of(trader).complete_as_of == from_ms(BLOCK_MS)


def test_a_listed_coin_that_nobody_follows_leaves_the_list_at_its_floor(trader):
    live("ETH")
    add_coin("BTC")

    assert account_of(trader).complete_as_of == from_ms(STATE_MS)


def test_the_largest_comes_first_and_what_is_unknown_last(trader):
    live("ETH", "BTC", "SOL")
    add_position(trader, "BTC", "30")
    add_position(trader, "ARB", "1")
    doubt(trader, "SOL", None)

    assert [each.coin for each in account_of(trader).positions] == ["BTC", "ETH", "ARB", "SOL"]


def test_the_number_of_queries_does_not_grow_with_what_is_held(trader, django_assert_num_queries):
    live("ETH", *(f"C{number}" for number in range(30)))
    with django_assert_num_queries(8):  # two of them the transaction's
        account_of(trader)
    for number in range(30):
        add_position(trader, f"C{number}", "1")

    with django_assert_num_queries(8):
        assert len(account_of(trader).positions) == 31


def test_the_standing_of_positions_of_many_traders_is_told_at_once(
    trader, django_assert_max_num_queries
):
    live("ETH")
    other = add_trader(2)
    add_snapshot(other, "1", at_ms=GAP_MS)
    rows = [trader.positions.get(), add_position(other, "ETH", "1")]

    with django_assert_max_num_queries(5):
        told = standings(rows)

    assert told[trader.pk, "ETH"].stale is False
    assert told[other.pk, "ETH"].stale is True


@pytest.mark.django_db(transaction=True)
def test_what_another_commits_meanwhile_is_not_half_seen(trader):
    def fill() -> None:
        Position.objects.update(size=Decimal(7))
        connection.close()

    with at_one_moment(), ThreadPoolExecutor(1) as other:
        before = Position.objects.get().size
        other.submit(fill).result()
        assert Position.objects.get().size == before

    assert Position.objects.get().size == 7
