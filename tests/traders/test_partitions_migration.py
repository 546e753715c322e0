"""What was written before there were partitions lies in the first of them, and goes back."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import connection

from tests.traders.book import add_events, add_snapshot, add_trader
from traders.models import AccountSnapshot, EventHead, PositionEvent
from traders.partitions import EVENTS, SNAPSHOTS

pytestmark = pytest.mark.django_db(transaction=True)


def run(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def unpartitioned():
    """Go back to before the partitions, and forth again at the end."""
    yield lambda: call_command("migrate", "traders", "0004", verbosity=0)
    call_command("migrate", verbosity=0)
    for log in (EVENTS, SNAPSHOTS):
        run(f"TRUNCATE {log.table}")


def test_rows_and_numbers_survive_the_way_back_and_forth(unpartitioned):
    trader = add_trader()
    add_events(trader, 3)
    for at_ms in (1, 2):
        add_snapshot(trader, "100", at_ms=at_ms)
    snapshots = list(AccountSnapshot.objects.order_by("id").values())
    events = list(PositionEvent.objects.order_by("id").values())

    unpartitioned()
    assert run("SELECT count(*) FROM pg_inherits WHERE inhparent = %s::regclass", EVENTS.table) == [
        (0,)
    ]
    call_command("migrate", verbosity=0)

    assert list(AccountSnapshot.objects.order_by("id").values()) == snapshots
    assert list(PositionEvent.objects.order_by("id").values()) == events
    assert EventHead.objects.get().head == 3
    add_snapshot(trader, "100", at_ms=3)
    assert AccountSnapshot.objects.latest("id").pk == snapshots[-1]["id"] + 1
    for log in (EVENTS, SNAPSHOTS):
        children = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass"
        assert run(children, log.table) == [(f"{log.table}_0",)]
