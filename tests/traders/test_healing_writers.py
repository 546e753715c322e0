"""The feed, the snapshots, the healing and the letting go change the same traders at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from django.db import connection, transaction
from django.utils import timezone

from hlcopy.clock import utc_now
from tests.traders.fills import START_MS, address, live, replay, trade
from tests.traders.states import SIZE_DECIMALS, held, state
from tests.traders.told_again import change_of
from traders import claims, healing, tracked, waiting
from traders.cursors import Gap
from traders.ingest import ingest
from traders.ledgers import KnownTraders
from traders.models import Correction, FeedGap, Position, PositionEvent, Trader

pytestmark = pytest.mark.django_db(transaction=True)
TRADERS = 6
ROUNDS = 40


def feed(rng: Random, coin: str) -> None:
    """Bring trades among all of them, and now and then a gap."""
    known = KnownTraders()
    for n in range(ROUNDS):
        buyer, seller = rng.sample(range(1, TRADERS + 1), 2)
        at_ms = 100_000 + 2_000 * n
        arrival = live([trade(1000 + n, at_ms, coin=coin, buyer=buyer, seller=seller)])
        lost = [Gap(coin, START_MS + at_ms - 2, START_MS + at_ms - 1, "overflow")]
        ingest([arrival], known, lost=lost if n % 10 == 9 else ())


def passes(rng: Random) -> None:
    """Tell wrong positions often, and the same ones twice."""
    for n in range(ROUNDS):
        with transaction.atomic():
            claims.locked(Trader.objects.exclude(retry_at=None)).update(retry_at=timezone.now())
        before = timezone.now() + timedelta(seconds=1)
        for claim in claims.claim(3, lease_seconds=60, before=before, alone=True).claims:
            size = str(claim.trader_id % 3 + n // 7)
            told = state(START_MS + 100_000 + 6_000 * n, *([held("BTC", size)] * (size != "0")))
            followed = frozenset(["BTC", "ETH"]) if rng.random() < 0.8 else frozenset()
            tracked.record(claim, {"": told}, SIZE_DECIMALS, utc_now(), followed)


def heal(_rng: Random) -> None:
    """Queue and let go all the time."""
    for _ in range(ROUNDS):
        healing.queue_holders()
        healing.note_drift({"BTC", "ETH"})
        waiting.let_go()


def test_nobody_stands_in_anybodys_way_and_the_log_is_whole(transactional_db):
    known = KnownTraders()
    first = [trade(n, 1, coin=coin, buyer=1, seller=2) for n, coin in enumerate(("BTC", "ETH"))]
    ingest([replay([one]) for one in first], known)
    known.learn({(address(number), "") for number in range(1, TRADERS + 1)}, utc_now())
    failed: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 (it is the main thread's to raise)
            failed.append(error)
        finally:
            connection.close()

    works = [
        lambda: feed(Random(1), "BTC"),
        lambda: feed(Random(2), "ETH"),
        lambda: passes(Random(3)),
        lambda: passes(Random(4)),
        lambda: heal(Random(5)),
    ]
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failed == []
    assert Correction.objects.exists()
    assert not FeedGap.objects.exclude(queued_at=None).exclude(coin__in=("BTC", "ETH")).exists()
    sizes: dict[tuple[int, str], Decimal] = {}
    for number, event in enumerate(PositionEvent.objects.order_by("id"), 1):
        pair, change = (event.trader_id, event.coin), change_of(event)
        assert event.pk == number
        assert sizes.get(pair, change.size_before) == change.size_before
        sizes[pair] = change.size_after
    rows = Position.objects.values_list("trader_id", "coin", "size")
    shown = {(pk, coin): size for pk, coin, size in rows}
    assert {pair: shown.get(pair, Decimal(0)) for pair in sizes} == sizes
