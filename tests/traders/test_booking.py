"""A large batch is folded share by share; nobody can tell."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from django.db import DataError, connection

from hlcopy.clock import utc_now
from tests.traders.fills import address, live, replay, trade
from traders import booking
from traders.cursors import Arrival
from traders.ingest import ingest
from traders.ledgers import KnownTraders
from traders.models import Ledger, Position, PositionEvent, Trader, TraderDay

pytestmark = pytest.mark.django_db(transaction=True)
TRADERS = 80
#: Two blocks each, but for a few that wash: three shares.
TRADES = booking.SHARE_BLOCKS * 2


@pytest.fixture
def known() -> KnownTraders:
    """Know everybody to be flat."""
    met = KnownTraders()
    ingest([replay([trade(1, 1, buyer=8, seller=9)])], met)
    met.learn({(address(number), "") for number in range(1, TRADERS + 1)}, utc_now())
    Ledger.objects.update(floors={"": 1})
    return met


def frames() -> list[Arrival]:
    """Return blocks of one trade each, of people who trade again and again."""
    dice = random.Random(4)
    made = []
    for n in range(TRADES):
        # Some wash.
        buyer, seller = dice.choices(range(1, TRADERS + 1), k=2)
        size = Decimal(dice.randint(1, 900)).scaleb(-2)
        made.append(live([trade(n + 2, n + 2, buyer=buyer, seller=seller, size=size)]))
    return made


def told() -> list[tuple[Any, ...]]:
    """Return the log, in its order."""
    rows = PositionEvent.objects.order_by("id")
    return list(
        rows.values_list("exchange_time_ms", "trader_address", "kind", "size_before", "size_after")
    )


def test_the_log_has_the_order_of_the_feed_and_each_event_begins_where_the_last_one_ended(known):
    done = ingest(frames(), known)

    log = told()
    assert (done.trades, done.events) == (TRADES, len(log))
    assert [at for at, *_ in log] == sorted(at for at, *_ in log)
    sizes: dict[object, object] = {}
    for _, who, _, before, after in log:
        assert sizes.get(who, 0) == before
        sizes[who] = after
    held = Position.objects.values_list("trader__address", "size")
    assert dict(held) == {who: size for who, size in sizes.items() if size}


def test_shares_make_what_one_block_after_the_other_makes(known, monkeypatch):
    made = frames()
    with connection.execute_wrapper(counting := Statements()):
        ingest(made, known)
    in_shares = (told(), days(), counting.writes)
    PositionEvent.objects.all().delete()
    Position.objects.all().delete()
    TraderDay.objects.all().delete()
    monkeypatch.setattr(booking, "MOST_SHARES", 1)
    # The cursor knows these trades: the same ones, of another coin.
    again = [live([trade_of(frame, coin="ETH")]) for frame in made]
    ingest([replay([trade(1, 1, coin="ETH", buyer=8, seller=9)])], known)
    with connection.execute_wrapper(counting := Statements()):
        ingest(again, known)

    assert (told(), days(), counting.writes) == (in_shares[0], in_shares[1], 1)
    assert in_shares[2] == 3


def trade_of(frame: Arrival, *, coin: str):
    """Return the frame's one trade, of another coin."""
    one = frame.trades[0]
    return trade(
        *(one.tid, one.tid),
        coin=coin,
        buyer=int(one.buyer, 16),
        seller=int(one.seller, 16),
        size=one.size,
    )


def days() -> list[dict[str, Any]]:
    """Return everybody's days without their numbers."""
    rows = TraderDay.objects.order_by("trader_id").values()
    return [{name: value for name, value in row.items() if name != "id"} for row in rows]


class Statements:
    """Counts those that add to days."""

    def __init__(self) -> None:
        """None yet."""
        self.writes = 0

    def __call__(self, execute, sql, params, many, context):
        """Pass a statement on."""
        self.writes += "traders_traderday AS kept" in sql
        return execute(sql, params, many, context)


def test_what_postgresql_refuses_of_one_share_is_raised_and_nothing_is_written(known):
    made = frames()
    bad = trade(10**6, TRADES + 2, buyer=3, seller=4, size=Decimal(10) ** 20)
    made.insert(0, live([bad]))
    with pytest.raises(DataError):
        ingest(made, known)

    assert not PositionEvent.objects.exists()
    assert not Position.objects.exists()
    assert Trader.objects.count() == TRADERS
    assert ingest(frames(), known).trades == TRADES
