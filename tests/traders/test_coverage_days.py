"""How long the feed was carried, by day: each second once, however many processes report."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F

from tests.discovery.live import until
from tests.traders.test_coverage import ONE, TWO, older
from traders.coverage import carried_days, report
from traders.models import FeedDay

pytestmark = pytest.mark.django_db


def earlier(seconds: float) -> None:
    """Let the last report be so long ago."""
    FeedDay.objects.update(counted_until=F("counted_until") - timedelta(seconds=seconds))


def waiting() -> int:
    """Return how many writers wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return int(cursor.fetchone()[0])


def covered() -> float:
    return sum(FeedDay.objects.values_list("covered_seconds", flat=True))


def test_the_first_report_counts_nothing_and_the_next_what_lies_between():
    report([ONE])
    assert covered() == 0
    earlier(2)
    report([ONE])

    assert 2 <= covered() < 3


def test_two_processes_count_each_second_once():
    report([ONE])
    earlier(2)
    report([ONE])
    report([TWO])

    assert 2 <= covered() < 3


def test_of_a_silence_five_seconds_count_as_the_rows_live_so_long():
    report([ONE])
    earlier(3600)
    report([ONE])

    assert covered() == 5


@pytest.mark.parametrize(
    "idle", [replace(ONE, connected=False), replace(ONE, coins=[])], ids=["unconnected", "no coin"]
)
def test_time_without_a_coin_that_is_carried_passes_uncounted(idle):
    report([ONE])
    earlier(3)
    report([idle])
    assert covered() == 0
    report([TWO])

    assert covered() < 1


def test_a_report_of_an_idle_process_counts_while_another_carries():
    report([ONE])
    earlier(2)
    report([replace(TWO, connected=False)])
    assert 2 <= covered() < 3
    older(6)
    earlier(2)
    report([replace(TWO, connected=False)])

    assert 2 <= covered() < 3


def test_a_clock_that_was_set_back_counts_nothing_twice():
    report([ONE])
    earlier(-60)
    before = FeedDay.objects.get().counted_until
    report([ONE])

    assert covered() == 0
    assert FeedDay.objects.get().counted_until == before


def test_a_new_day_goes_on_where_the_day_before_has_ended():
    report([ONE])
    FeedDay.objects.update(day=F("day") - timedelta(days=1))
    earlier(1)
    report([ONE])

    assert [1 <= row.covered_seconds < 2 for row in FeedDay.objects.order_by("day")] == [
        False,
        True,
    ]


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_counted_by_the_next():
    report([ONE])
    earlier(2)
    with transaction.atomic():
        report([ONE])
        transaction.set_rollback(True)
    assert covered() == 0
    report([ONE])

    assert 2 <= covered() < 3


@pytest.mark.django_db(transaction=True)
def test_processes_that_report_at_once_wait_for_each_other():
    report([ONE])
    earlier(3)

    def other(name: str) -> None:
        try:
            report([replace(TWO, name=name)])
        finally:
            connection.close()

    threads = [threading.Thread(target=other, args=[f"other/{place}"]) for place in range(3)]
    with transaction.atomic():
        report([ONE])
        for thread in threads:
            thread.start()
        until(lambda: waiting() >= len(threads))
    for thread in threads:
        thread.join()

    assert 3 <= covered() < 5


def test_days_without_a_report_were_not_carried_and_earlier_ones_are_unknown():
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    for day, seconds in ((date(2026, 3, 2), 100.0), (date(2026, 3, 4), 50.5)):
        FeedDay.objects.create(day=day, covered_seconds=seconds, counted_until=at)

    known = {date(2026, 3, 2): 100, date(2026, 3, 3): 0, date(2026, 3, 4): 50.5}
    known[date(2026, 3, 5)] = 0
    assert carried_days(None, date(2026, 3, 5)) == known
    assert carried_days(date(2026, 3, 1), date(2026, 3, 5)) == known
    assert list(carried_days(date(2026, 3, 4), date(2026, 3, 4))) == [date(2026, 3, 4)]


def test_before_anything_was_counted_no_day_is_known():
    assert carried_days(None, date(2026, 3, 5)) == {}
