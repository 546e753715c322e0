"""Partitions come and go while tracking writes and browsers read: nobody fails, nothing is lost."""

from __future__ import annotations

import threading

import pytest
from django.db import Error, connection

from hlcopy.clock import utc_now
from tests.traders.book import add_trader
from tests.traders.states import T, held, record, state
from traders import retention
from traders.models import AccountSnapshot, EventHead, PositionEvent
from traders.partitions import EVENTS, SNAPSHOTS, drop_older_than, make_ahead, make_room
from web.log import STATE

pytestmark = pytest.mark.django_db(transaction=True)
FAR = 400_000
ROUNDS = 12


def run(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(autouse=True)
def partitions_of_before():
    """Leave both logs as they were: empty, with their first partition."""
    EventHead.objects.get_or_create(pk=1)
    yield
    for log in (EVENTS, SNAPSHOTS):
        tables = run("SELECT relname FROM pg_class WHERE relname ~ %s", f"^{log.table}_[0-9]+$")
        for (table,) in tables:
            run(f"DROP TABLE {table}")
    EventHead.objects.update(head=0)
    run("SELECT setval('traders_accountsnapshot_id_seq', 1, false)")
    for log in (EVENTS, SNAPSHOTS):
        make_room(log, 1, 1)


class Meanwhile:
    """Something done again and again in a thread of its own; `failures` are all it met."""

    def __init__(self, step) -> None:
        self.step, self.times = step, 0
        self.failures: list[Error] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self):
        while not self._over.is_set():
            self.times += 1
            try:
                self.step(self.times)
            except Error as failure:
                self.failures.append(failure)
        connection.close()

    def end(self):
        self._over.set()
        self._thread.join()


def writing(number):
    """Record one snapshot after the other; each but the first makes an event."""
    trader = add_trader(number)
    return lambda step: record(trader, state(T + step, held("BTC", str(step))))


def reading(_step):
    """Read as the hub does, and one trader's events as the API does."""
    ((_, head, oldest),) = run(STATE)
    assert oldest <= head + 1
    list(PositionEvent.objects.filter(trader_id=1).order_by("-id")[:100])
    list(AccountSnapshot.objects.order_by("-id")[:10])


def time_goes_on(everybody):
    """Let the numbers grow by almost half a partition, and everybody take three more steps."""
    retention.make_room()
    run("UPDATE traders_eventhead SET head = head + %s", FAR)
    sequence = SNAPSHOTS.table + "_id_seq"
    run("SELECT setval(%s, nextval(%s) + %s)", sequence, sequence, FAR)
    before = [one.times for one in everybody]
    while any(one.times < times + 3 for one, times in zip(everybody, before, strict=True)):
        threading.Event().wait(0.002)


@pytest.mark.parametrize("ahead", [True, False], ids=["made ahead", "made by the writers"])
def test_partitions_come_and_go_under_writers_and_readers(ahead):
    writers = [Meanwhile(writing(number)) for number in (1, 2, 3)]
    everybody = [*writers, Meanwhile(reading), Meanwhile(reading)]
    dropped = 0
    try:
        for _ in range(ROUNDS):
            time_goes_on(everybody)
            if ahead:
                make_ahead(EVENTS)
            dropped += sum(len(drop_older_than(log, utc_now())) for log in (EVENTS, SNAPSHOTS))
    finally:
        for one in everybody:
            one.end()

    # A writer that waits 3 s for a lock fails, as does one of two that wait for each other.
    assert [failure for one in everybody for failure in one.failures] == []
    assert dropped >= ROUNDS / 2
    assert AccountSnapshot.objects.filter(applied=True).exists()
