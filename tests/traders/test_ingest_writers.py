"""Several writers bring the same trades at once: nobody waits in a circle, nothing counts twice."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from decimal import Decimal
from random import Random

import pytest
from django.db import connection, transaction

from hlcopy.clock import utc_now
from tests.traders.feed_world import TRADERS, Exchange, Reference
from tests.traders.fills import START_MS, address, live, trade
from traders.cursors import Arrival
from traders.ingest import ingest
from traders.ledgers import KnownTraders
from traders.models import (
    EventHead,
    FeedCursor,
    FeedGap,
    Ledger,
    Position,
    PositionEvent,
    Trader,
    TraderDay,
)
from traders.sightings import record

WRITERS = 4


def frames(exchange: Exchange, rng: Random, count: int) -> list[Arrival]:
    """Return the frames of so many blocks; the first of each coin is its replay."""
    seen: set[str] = set()
    found = []
    for _ in range(count):
        coin = rng.choice(exchange.coins)
        trades = exchange.publish(coin, rng.choice([1, 2, 5]))
        found.append(Arrival(coin, trades, is_replay=coin not in seen))
        seen.add(coin)
    return found


def write(arrivals: Sequence[Arrival], seed: int, failures: list[BaseException]) -> None:
    """Bring the frames in batches of a size of one's own, all of them, in order."""
    rng = Random(seed)
    known = KnownTraders()
    at = 0
    try:
        while at < len(arrivals):
            size = rng.randint(1, 25)
            ingest(arrivals[at : at + size], known)
            at += size
    except BaseException as failure:  # noqa: BLE001 (raised in the test)
        failures.append(failure)
    finally:
        connection.close()


def in_threads(shares: Sequence[Sequence[Arrival]]) -> None:
    """Let as many writers as there are shares bring them at once."""
    failures: list[BaseException] = []
    threads = [
        threading.Thread(target=write, args=(share, seed, failures))
        for seed, share in enumerate(shares)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert failures == []


@pytest.fixture
def flat(transactional_db):
    """Everybody is known, and flat on every dex, before the first trade."""
    floors = {f"d{dex}": START_MS for dex in range(6)}
    with transaction.atomic():
        record([(address(number), "") for number in TRADERS], utc_now())
        Ledger.objects.bulk_create(
            Ledger(trader=trader, floors=floors) for trader in Trader.objects.all()
        )


def test_the_same_trades_of_several_writers_count_once(flat):
    rng = Random(7)
    exchange = Exchange(rng, 6)
    arrivals = frames(exchange, rng, 300)
    in_threads([arrivals] * WRITERS)

    reference = Reference()
    reference.take(arrivals)
    counted = dict(FeedCursor.objects.values_list("coin", "trades"))
    assert counted == {coin: len(reference.counted[coin]) for coin in exchange.coins}
    assert set(FeedGap.objects.values_list("reason", flat=True)) == {"first"}
    assert FeedGap.objects.count() == len(exchange.coins)

    held = {
        (int(user, 16), coin): size
        for user, coin, size in Position.objects.values_list("trader__address", "coin", "size")
    }
    # The first frame of each coin counts in nothing.
    first = {arrival.coin: arrival for arrival in reversed(arrivals)}
    end_ms = exchange.now_ms
    truth = {
        (number, coin): exchange.size(number, coin, end_ms)
        - exchange.size(number, coin, first[coin].trades[-1].time_ms)
        for number in TRADERS
        for coin in exchange.coins
    }
    assert held == {pair: size for pair, size in truth.items() if size}

    ids = list(PositionEvent.objects.order_by("id").values_list("id", flat=True))
    assert ids == list(range(1, EventHead.objects.get().head + 1))
    told: dict[tuple[int, str], Decimal] = {}
    for event in PositionEvent.objects.order_by("id"):
        pair = (event.trader_id, event.coin)
        assert event.size_before == told.get(pair, 0)
        told[pair] = event.size_after
    days = {
        int(user, 16): list(sums)
        for user, *sums in TraderDay.objects.values_list(
            *("trader__address", "fills", "volume_usd", "taker_volume_usd", "wash_volume_usd")
        )
    }
    assert days == reference.days


def test_writers_of_different_coins_and_the_same_traders_do_not_wait_in_a_circle(flat):
    rng = Random(5)
    shares = []
    for dex in range(WRITERS):
        frames = [live([trade(0, 0, coin=f"d{dex}:A")])]
        for n in range(1, 150):
            buyer, seller = rng.sample(TRADERS, 2)
            frames.append(live([trade(n, n, coin=f"d{dex}:A", buyer=buyer, seller=seller)]))
        shares.append(frames)
    in_threads(shares)

    counted = FeedCursor.objects.values_list("trades", flat=True)
    assert list(counted) == [149] * WRITERS
    assert sum(TraderDay.objects.values_list("fills", flat=True)) == 2 * 149 * WRITERS
    ids = list(PositionEvent.objects.order_by("id").values_list("id", flat=True))
    assert ids == list(range(1, len(ids) + 1))


def test_writers_who_meet_new_coins_and_traders_in_any_order_do_not_wait_in_a_circle(
    transactional_db,
):
    rng = Random(3)
    news = [
        live([trade(n, n, coin=f"{dex}C{n % 60}", buyer=rng.randint(1, 99), seller=200 + n)])
        for n in range(240)
        for dex in ("", "xyz:")
    ]
    in_threads([rng.sample(news, len(news)) for _ in range(WRITERS)])

    assert FeedCursor.objects.count() == 120
    traders = {user for one in news for user in (one.trades[0].buyer, one.trades[0].seller)}
    assert set(Trader.objects.values_list("address", flat=True)) == traders
    assert Ledger.objects.count() == len(traders)
