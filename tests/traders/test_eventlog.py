"""Numbers of events: gapless, in the order of the commits, whoever writes and whoever fails."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
from django.conf import settings
from django.db import OperationalError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from redis import Redis

from hlcopy.broadcast import EVENTS_CHANNEL
from tests.traders.book import add_trader
from tests.traders.states import T, held, record, state
from traders import eventlog
from traders.models import EventHead, Ledger, PositionEvent
from traders.outcome import NewEvent
from traders.positions import Change
from traders.writing import writing

pytestmark = pytest.mark.django_db(transaction=True)


def test_writers_at_once_number_without_gaps_and_failed_ones_take_no_number():
    traders = [add_trader(number) for number in range(1, 9)]
    together = threading.Barrier(len(traders))

    def write(trader):
        together.wait()
        for step in range(1, 11):
            try:
                with transaction.atomic():
                    record(trader, state(T + step, held("BTC", str(step))))
                    if step % 3 == 0:
                        raise InterruptedError
            except InterruptedError:
                pass
        connection.close()

    threads = [threading.Thread(target=write, args=[trader]) for trader in traders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Of ten steps the first is the baseline and three were rolled back.
    numbers = list(PositionEvent.objects.order_by("id").values_list("id", flat=True))
    assert numbers == list(range(1, 6 * len(traders) + 1))
    assert EventHead.objects.get().head == numbers[-1]


def test_the_web_is_woken_after_the_commit_and_only_then():
    trader = add_trader(1)
    subscriber = Redis.from_url(settings.REDIS_URL).pubsub(ignore_subscribe_messages=True)
    subscriber.subscribe(EVENTS_CHANNEL)
    subscriber.get_message(ignore_subscribe_messages=False, timeout=5)
    record(trader, state(T, held("BTC", "1")))

    with transaction.atomic():
        record(trader, state(T + 1, held("BTC", "2")))
        assert subscriber.get_message(timeout=0.01) is None

    message = subscriber.get_message(timeout=5)
    subscriber.close()
    assert message is not None
    assert message["data"] == b"1"


# PostgreSQL has no texts with a zero, and no halves of characters.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=32)
SIZES = st.decimals(-(10**18), 10**18, places=18)
CHANGES = st.builds(
    Change,
    kind=st.just("INCREASE"),
    coin=TEXTS,
    side=st.just("BUY"),
    size_before=SIZES,
    size_after=SIZES,
    price=st.none() | SIZES | st.just(Decimal("1E+3")),
)
DETAILS = st.dictionaries(TEXTS, st.none() | TEXTS, max_size=3)


class Rows(TestCase):
    """A name from outside may hold what COPY takes for its own signs."""

    @given(change=CHANGES, stale=st.booleans(), replayed=st.booleans(), details=DETAILS)
    def test_an_event_is_read_as_it_was_written(self, change, stale, replayed, details):
        event = NewEvent(7, f"0x{7:040x}", change, "feed", T, stale, replayed, details)

        eventlog.append(eventlog.encoded([event]))

        row = PositionEvent.objects.get()
        assert (row.trader_id, row.trader_address) == (7, event.address)
        assert (row.kind, row.coin, row.side) == (change.kind, change.coin, change.side)
        assert (row.size_before, row.size_after) == (change.size_before, change.size_after)
        assert (row.price, row.source, row.exchange_time_ms) == (change.price, "feed", T)
        assert (row.stale, row.replayed, row.details) == (stale, replayed, details)


def test_a_missing_head_begins_a_new_log():
    EventHead.objects.all().delete()
    trader = add_trader(1)

    record(trader, state(T), state(T + 1, held("BTC", "1")))

    assert EventHead.objects.get().head == 1


def test_a_writer_waits_three_seconds_for_a_lock_and_holds_its_own_no_longer_than_ten():
    with writing(), connection.cursor() as cursor:
        limits = {}
        for name in ("lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"):
            cursor.execute(f"SELECT current_setting('{name}', true)")
            limits[name] = cursor.fetchone()[0]

    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone()[0] == "0"
    assert limits["lock_timeout"] == limits["idle_in_transaction_session_timeout"] == "3s"
    assert limits["transaction_timeout"] in {"10s", None}


def somebody_waits_for_a_lock():
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return cursor.fetchone()[0]


def test_two_writers_of_one_trader_take_turns():
    trader = add_trader(1)
    record(trader, state(T, held("BTC", "1")))
    outcome = []

    def second():
        try:
            record(trader, state(T + 2, held("BTC", "3")))
            outcome.append("written")
        except OperationalError as refused:
            outcome.append(str(refused))
        connection.close()

    with transaction.atomic():
        record(trader, state(T + 1, held("BTC", "2")))
        other = threading.Thread(target=second)
        other.start()
        while not somebody_waits_for_a_lock():
            other.join(timeout=0.01)
            assert outcome == []
    other.join()

    assert outcome == ["written"]
    chain = PositionEvent.objects.order_by("id").values_list("size_before", "size_after")
    assert list(chain) == [(1, 2), (2, 3)]
    assert Ledger.objects.get().floors == {"": T + 2}
