"""Partitions of a growing table: made ahead, made by a writer who finds none, dropped when old."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from django.db import connection, transaction

from hlcopy.clock import utc_now
from tests.traders.book import add_trader
from tests.traders.states import T, held, record, state
from traders import partitions
from traders.models import EventHead, PositionEvent
from traders.partitions import Log, drop_older_than, make_ahead, make_room

pytestmark = pytest.mark.django_db(transaction=True)
NOW = utc_now()
NUMBERS = itertools.count()


def run(statement, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def log():
    """A log with ten ids to a partition, and a row that says which id was the newest."""
    table = f"growing{next(NUMBERS)}"
    run(f"CREATE TABLE {table} (id bigint PRIMARY KEY, at timestamptz) PARTITION BY RANGE (id)")
    run(f"CREATE INDEX ON {table} (at)")
    run(f"CREATE TABLE {table}_head AS SELECT 0::bigint AS head")
    log = Log(table, "at", f"SELECT head FROM {table}_head", ids_each=10)
    yield log
    rows = run("SELECT relname FROM pg_class WHERE relname ~ %s AND relkind = 'r'", table)
    for (name,) in rows:
        run(f"DROP TABLE IF EXISTS {name}")
    run(f"DROP TABLE {table}")


def append(log, first, last, *, days_ago=0):
    """Write the rows of these ids, as old as that."""
    run(
        f"INSERT INTO {log.table} SELECT id, %s FROM generate_series(%s::bigint, %s) AS id",
        *(NOW - timedelta(days=days_ago), first, last),
    )
    run(f"UPDATE {log.table}_head SET head = %s", last)


def attached(log):
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass"
    return sorted(int(name.rpartition("_")[2]) for (name,) in run(query, log.table))


def test_the_present_partition_and_two_ahead_are_made_once(log):
    assert make_ahead(log) == [0, 1, 2]
    assert make_ahead(log) == []
    append(log, 1, 15)

    assert make_ahead(log) == [3]
    assert attached(log) == [0, 1, 2, 3]


def test_a_partition_has_the_indexes_of_its_table(log):
    make_ahead(log)

    ((number,),) = run("SELECT count(*) FROM pg_indexes WHERE tablename = %s", f"{log.table}_2")
    assert number == 2


def test_a_writer_who_finds_no_partition_makes_its_own(log):
    with transaction.atomic():
        make_room(log, 38, 41)
        append(log, 38, 41)

    assert attached(log) == [3, 4]
    assert make_ahead(log) == [5, 6]


def test_partitions_go_once_their_newest_row_is_old(log):
    make_ahead(log)
    append(log, 1, 9, days_ago=20)
    append(log, 10, 18, days_ago=15)
    append(log, 19, 19, days_ago=13)
    append(log, 20, 22, days_ago=1)

    assert drop_older_than(log, NOW - timedelta(days=14)) == [0]
    assert run(f"SELECT min(id), max(id) FROM {log.table}") == [(10, 22)]
    assert drop_older_than(log, NOW - timedelta(days=12)) == [1]
    assert attached(log) == [2]


def test_the_partition_of_the_newest_id_stays_however_old(log):
    make_ahead(log)
    append(log, 1, 12, days_ago=500)

    assert drop_older_than(log, NOW) == [0]
    assert attached(log) == [1, 2]


def test_what_lies_behind_a_kept_partition_is_kept(log):
    make_ahead(log)
    append(log, 1, 9, days_ago=1)
    append(log, 10, 19, days_ago=500)  # the clock was wrong
    append(log, 20, 20)

    assert drop_older_than(log, NOW - timedelta(days=14)) == []


@pytest.mark.parametrize("crash", ["detached", "pending"])
def test_what_was_cut_off_is_finished_by_the_next_run(log, crash, monkeypatch):
    make_ahead(log)
    append(log, 1, 12, days_ago=20)
    detach = f"ALTER TABLE {log.table} DETACH PARTITION {log.table}_0 CONCURRENTLY"
    if crash == "detached":
        run(detach)
    else:
        # A reader's transaction lets the detachment wait until it is given up.
        monkeypatch.setattr(partitions, "LOCK_TIMEOUT", "50ms")
        reader = connection.copy()
        with reader.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"SELECT count(*) FROM {log.table}")
        assert drop_older_than(log, NOW - timedelta(days=14)) == []
        assert run("SELECT count(*) FROM pg_inherits WHERE inhdetachpending") == [(1,)]
        reader.close()
        monkeypatch.undo()

    assert drop_older_than(log, NOW - timedelta(days=14)) == [0]
    assert attached(log) == [1, 2]
    assert run("SELECT to_regclass(%s)", f"{log.table}_0") == [(None,)]


def test_the_logs_of_the_book_have_their_first_partition():
    for log in (partitions.EVENTS, partitions.SNAPSHOTS):
        assert attached(log)[0] == 0


def test_the_event_log_goes_on_where_nobody_has_made_a_partition_ahead():
    trader = add_trader(1)
    EventHead.objects.update_or_create(pk=1, defaults={"head": 3_999_998})
    steps = [state(T + step, held("BTC", str(step + 1))) for step in range(5)]
    try:
        for step in steps:
            record(trader, step)

        ids = list(PositionEvent.objects.order_by("id").values_list("id", flat=True))
        assert ids == [3_999_999, 4_000_000, 4_000_001, 4_000_002]
        assert attached(partitions.EVENTS)[-2:] == [3, 4]
        assert make_ahead(partitions.EVENTS) == [5, 6]
    finally:
        for number in (3, 4, 5, 6):
            run(f"DROP TABLE IF EXISTS traders_positionevent_{number}")
