"""What one transaction of the feed writes."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import DataError, IntegrityError, connection, transaction

from hlcopy.clock import utc_now
from tests.traders.fills import START_MS, address, block, live, replay, trade
from traders.cursors import WINDOW_TRADES, Gap
from traders.ingest import ingest
from traders.ledgers import KnownTraders
from traders.models import (
    FeedCursor,
    FeedGap,
    FeedSocket,
    Ledger,
    Position,
    PositionEvent,
    RoundTrip,
    Trader,
    TraderDay,
    WaitingFill,
)
from traders.socket_report import SocketReport

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def known() -> KnownTraders:
    """Begin with BTC's first frame, whose end is 1 ms after the start; nobody is known."""
    met = KnownTraders()
    ingest([replay(block(1, buyer=8, seller=9))], met)
    return met


def tell(known: KnownTraders, *numbers: int, at: int = 10, **sizes: str) -> None:
    """Let snapshots tell these traders' positions of the main dex, as of `at`."""
    known.learn({(address(number), "") for number in numbers}, utc_now())
    for number in numbers:
        Ledger.objects.filter(trader__address=address(number)).update(floors={"": START_MS + at})
        for coin, size in sizes.items():
            Position.objects.create(
                trader=Trader.objects.get(address=address(number)),
                coin=coin,
                size=Decimal(size),
                entry_price=Decimal(90),
                funding_since_open=Decimal(4),
                margin_used=Decimal(7),
                leverage=5,
                as_of_ms=START_MS + at,
            )


def test_an_event_tells_who_took_what_was_realised_and_that_the_position_is_live(known):
    tell(known, 1, BTC="-2")
    done = ingest([live([trade(1, 3_000, size="3", price="80")])], known)

    closed, opened = PositionEvent.objects.order_by("id")
    assert (closed.kind, closed.size_before, closed.size_after, closed.price) == (
        *("CLOSE", -2, 0, 80),
    )
    assert closed.details["realised_pnl"] == "20"
    assert (closed.details["role"], closed.details["funding"]) == ("taker", "-4")
    assert (opened.kind, opened.size_after, opened.trader_address) == ("OPEN", 1, address(1))
    assert {event.source for event in (closed, opened)} == {"feed"}
    assert (closed.stale, closed.replayed) == (False, False)
    # Nothing is known of the seller: it waits.
    assert done.events == 2
    assert WaitingFill.objects.get().size == -3


def test_what_closes_at_its_own_price_has_realised_0_and_what_opens_nothing(known):
    tell(known, 1, BTC="-2")
    ingest([live([trade(1, 3_000, size="3", price="90")])], known)

    closed, opened = PositionEvent.objects.order_by("id")
    assert closed.details["realised_pnl"] == "0"
    assert "realised_pnl" not in opened.details


def test_what_hangs_on_the_size_is_no_longer_what_the_snapshot_told(known):
    tell(known, 1, BTC="2")
    ingest([live([trade(1, 20)])], known)

    held = Position.objects.get(trader__address=address(1))
    assert (held.size, held.margin_used, held.leverage) == (3, None, 5)
    assert held.funding_since_open == 4
    ingest([live([trade(2, 30, buyer=2, seller=1, size="5")])], known)
    held.refresh_from_db()
    assert (held.size, held.funding_since_open, held.opened_at_ms) == (-2, None, START_MS + 30)
    assert RoundTrip.objects.get().estimated is False


def test_a_closed_position_has_no_row(known):
    tell(known, 1, BTC="-1")
    ingest([live([trade(1, 20)])], known)

    assert not Position.objects.exists()
    assert PositionEvent.objects.get().kind == "CLOSE"


def test_the_same_frames_again_change_nothing(known):
    tell(known, 1, 2)
    frames = [live([trade(1, 20)]), live([trade(2, 30)])]
    ingest(frames, known)
    before = list(TraderDay.objects.order_by("pk").values())
    again = ingest(frames, KnownTraders())

    assert (again.trades, again.events, again.gaps, again.head) == (0, 0, 0, None)
    assert list(TraderDay.objects.order_by("pk").values()) == before
    assert FeedCursor.objects.get().trades == 2


def test_a_block_older_than_half_a_minute_is_told_as_replayed(known):
    tell(known, 1)
    clock_ms = START_MS + 30_020
    ingest(
        [live([trade(1, 19)], clock_ms=clock_ms), live([trade(2, 20)], clock_ms=clock_ms)], known
    )

    events = PositionEvent.objects.filter(trader_address=address(1)).order_by("id")
    assert [event.replayed for event in events] == [True, False]


def test_positions_are_stale_after_a_gap_and_their_events_say_so(known):
    tell(known, 1)
    ingest([replay([trade(1, 50)], covered_until_ms=START_MS + 40)], known)

    gap = FeedGap.objects.get(reason="outage")
    assert (gap.from_ms, gap.to_ms) == (START_MS + 40, START_MS + 50)
    assert FeedCursor.objects.get().gap_until_ms == START_MS + 50
    assert PositionEvent.objects.get(trader_address=address(1)).stale


def test_what_was_let_go_before_a_coins_first_frame_is_a_gap_all_the_same(transactional_db):
    known = KnownTraders()
    lost = Gap("ETH", START_MS + 89, START_MS + 90, "overflow")
    ingest([], known, lost=[lost])
    ingest([replay([trade(1, 50, coin="ETH")])], known)

    cursor = FeedCursor.objects.get()
    assert (cursor.gap_until_ms, cursor.newest_ms) == (START_MS + 90, START_MS + 50)
    assert FeedGap.objects.count() == 2


def test_a_late_trade_counts_and_leaves_the_newest_price(known):
    tell(known, 1)
    ingest([live([trade(1, 30, price="130")])], known)
    ingest([live([trade(2, 20, price="120")], is_late=True)], known)

    cursor = FeedCursor.objects.get()
    assert (cursor.trades, cursor.late, cursor.last_price) == (2, 1, 130)
    assert Position.objects.get(trader__address=address(1)).size == 2


def test_a_cursor_forgets_old_blocks_and_still_knows_repeats(known):
    tell(known, 1)
    many = [live([trade(n, n)]) for n in range(20, 20 + 2 * WINDOW_TRADES)]
    ingest(many, known)

    cursor = FeedCursor.objects.get()
    assert len(cursor.keys) == 16 * WINDOW_TRADES
    assert ingest(many, known).trades == 0
    assert Position.objects.get(trader__address=address(1)).size == 2 * WINDOW_TRADES


def test_a_socket_claims_what_is_committed_with_it(known):
    socket = SocketReport("one", True, utc_now(), ["BTC"], START_MS + 20, 1, 0, 0, "")
    with transaction.atomic():
        ingest([live([trade(1, 20)])], known, reports=[socket])
        transaction.set_rollback(True)

    assert not FeedSocket.objects.exists()
    known.forget()
    ingest([live([trade(1, 20)])], known, reports=[socket])
    assert FeedSocket.objects.get().coins == ["BTC"]
    assert FeedCursor.objects.get().newest_ms == START_MS + 20


@pytest.mark.parametrize("knows", [False, True], ids=["waiting", "event"])
def test_what_postgresql_cannot_hold_is_an_error_of_the_database_and_nothing_is_written(
    known, knows
):
    if knows:
        tell(known, 1, 2)
    with pytest.raises(DataError):
        ingest([live([trade(1, 20, size="1E+21")])], known)

    assert not WaitingFill.objects.exists()
    assert not PositionEvent.objects.exists()
    assert FeedCursor.objects.get().trades == 0


def test_an_error_while_rows_are_copied_is_one_of_django(known):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE traders_waitingfill ADD CONSTRAINT no_room CHECK (size < 5)")
    try:
        with pytest.raises(Exception, match="no_room") as failure:
            ingest([live([trade(1, 20, size="9")])], known)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE traders_waitingfill DROP CONSTRAINT no_room")

    assert failure.type.__module__ == "django.db.utils"


def test_a_book_that_was_restored_to_an_older_state_has_a_gap(known):
    done = ingest([live(block(5))], known)
    assert done.reached == {"BTC": START_MS + 5}

    ingest([live(block(30))], known, reached={"BTC": START_MS + 20})

    gap = FeedGap.objects.exclude(reason="first").get()
    assert (gap.from_ms, gap.to_ms, gap.reason) == (START_MS + 5, START_MS + 20, "outage")
    assert FeedCursor.objects.get().gap_until_ms == START_MS + 20


@pytest.mark.parametrize("seller", [2, 1], ids=["who trades", "who only washes"])
def test_a_number_of_another_database_is_refused_and_asked_for_anew(known, seller):
    tell(known, 1, 2)
    Trader.objects.all().delete()

    with pytest.raises(IntegrityError):
        ingest([live([trade(1, 20, buyer=1, seller=seller)])], known)
    assert not FeedCursor.objects.filter(newest_ms__gte=START_MS + 20).exists()
    known.forget()
    done = ingest([live([trade(1, 20, buyer=1, seller=seller)])], known)

    assert done.new_traders == len({1, seller})
    assert not TraderDay.objects.exclude(trader__in=Trader.objects.all()).exists()


def test_a_frame_with_an_unreadable_trade_is_a_gap_and_its_others_count(known):
    done = ingest([live(block(5, 2), is_whole=False)], known)

    gap = FeedGap.objects.exclude(reason="first").get()
    assert (done.trades, gap.reason) == (2, "refused")
    assert (gap.from_ms, gap.to_ms) == (START_MS + 4, START_MS + 5)


def test_the_first_frame_tells_the_price_already(transactional_db):
    ingest([replay([trade(1, 0, price="77")])], KnownTraders())

    assert FeedCursor.objects.get().last_price == 77
