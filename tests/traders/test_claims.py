"""The rotation: who comes next, who is passed over, who is claimed alone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from hlcopy.periodic import database_now
from tests.traders.book import add_trader
from traders import claims
from traders.models import Healing, Trader

pytestmark = pytest.mark.django_db


@pytest.fixture
def now():
    return database_now()


def add(now, *, tracked=None, count=1, **fields):
    """Add traders; `tracked` and times in `fields` are seconds ago."""
    first = Trader.objects.count() + 1
    for name in ("retry_at", "lease_until"):
        if name in fields:
            fields[name] = now - timedelta(seconds=fields[name])
    if tracked is not None:
        fields["last_tracked_at"] = now - timedelta(seconds=tracked)
    traders = [add_trader(number) for number in range(first, first + count)]
    Trader.objects.filter(pk__in=[trader.pk for trader in traders]).update(**fields)
    return [trader.pk for trader in traders]


def take(now, size=50, *, alone=True):
    return claims.claim(size, lease_seconds=60, before=now, alone=alone)


def ids(batch):
    return [claim.trader_id for claim in batch.claims]


def fresh(trader_id):
    return Trader.objects.get(pk=trader_id)


def test_never_tracked_come_first_and_then_the_most_overdue(now):
    [recent] = add(now, tracked=10)
    [oldest] = add(now, tracked=100)
    new = add(now, count=2)

    assert ids(take(now, 3)) == [*new, oldest]
    assert ids(take(now, 3)) == [recent]


def test_a_leased_trader_is_passed_over_until_its_lease_is_over(now):
    [trader] = add(now)
    [claim] = take(now).claims

    assert ids(take(now)) == []
    Trader.objects.update(lease_until=now - timedelta(seconds=1))
    assert ids(take(now)) == [trader]
    # The first holder has lost it.
    assert not claims.finish(claim)
    assert fresh(trader).last_tracked_at is None


def test_nobody_comes_twice_in_one_pass(now):
    add(now, count=2)
    for claim in take(now).claims:
        claims.finish(claim)

    assert ids(take(now)) == []
    assert len(ids(take(database_now() + timedelta(seconds=1)))) == 2


def test_a_finished_trader_is_as_if_it_had_never_failed(now):
    [trader] = add(now, failures=4, retry_at=5, last_error="HTTP 500")
    [claim] = take(now).claims

    assert claims.finish(claim)

    row = fresh(trader)
    assert (row.failures, row.retry_at, row.last_error, row.unfinished_claims) == (0, None, "", 0)
    assert (row.lease_token, row.lease_until) == (None, None)
    assert row.last_tracked_at is not None


def test_a_failing_trader_backs_off_and_keeps_its_place(now):
    [trader] = add(now, tracked=500)
    [claim] = take(now).claims

    assert claims.fail(claim, "TransportError: " + "x" * 500)

    row = fresh(trader)
    assert (row.failures, row.unfinished_claims, row.lease_token) == (1, 0, None)
    assert row.last_tracked_at == now - timedelta(seconds=500)
    assert timedelta(seconds=29) < row.retry_at - now < timedelta(seconds=40)
    assert len(row.last_error) == 200
    assert ids(take(now)) == []


def test_back_off_doubles_up_to_an_hour():
    waits = [claims.retry_seconds(failures) for failures in (1, 2, 3, 7, 8, 60000)]

    assert waits == [30, 60, 120, 1920, 3600, 3600]


def test_retries_take_at_most_half_while_others_wait(now):
    retries = add(now, count=10, retry_at=5, tracked=900)
    others = add(now, count=3, tracked=50)

    assert ids(take(now, 4)) == [*retries[:2], *others[:2]]
    assert ids(take(now, 6)) == [*retries[2:7], others[2]]


def test_a_second_look_is_due_soon_and_not_in_this_pass(now):
    [trader] = add(now)
    [claim] = take(now).claims
    claims.finish(claim)
    claims.look_again(trader, Healing.DOUBT)

    assert ids(take(now)) == []
    assert ids(take(database_now() + timedelta(seconds=6))) == [trader]


def test_a_released_trader_is_as_if_it_had_never_been_claimed(now):
    [trader] = add(now, tracked=70)
    before = Trader.objects.values().get()

    claims.release(take(now).claims)

    assert Trader.objects.values().get() == before
    assert ids(take(now)) == [trader]


def test_a_lost_lease_is_not_released(now):
    add(now)
    lost = take(now).claims
    Trader.objects.update(lease_until=now - timedelta(seconds=1))
    [mine] = take(now).claims

    claims.release(lost)

    assert fresh(mine.trader_id).lease_token == mine.token


def test_one_death_of_a_worker_makes_nobody_a_suspect(now):
    traders = add(now, count=3, unfinished_claims=1, lease_until=5)

    assert ids(take(now)) == traders


def test_a_suspect_is_claimed_alone_and_only_when_nothing_is_in_flight(now):
    before, suspect, after = add(now, count=3)
    Trader.objects.filter(pk=suspect).update(unfinished_claims=2, lease_until=now)

    first = take(now, alone=True)
    assert (ids(first), first.alone, first.suspect_waits) == ([before], False, True)
    busy = take(now, alone=False)
    assert (ids(busy), busy.suspect_waits) == ([], True)
    idle = take(now, alone=True)
    assert (ids(idle), idle.alone) == ([suspect], True)
    assert ids(take(now, alone=False)) == [after]


def test_three_claims_without_an_end_are_quarantine(now):
    poison, *others = add(now, count=3)
    Trader.objects.filter(pk=poison).update(unfinished_claims=3, lease_until=now)

    assert ids(take(now)) == others

    row = fresh(poison)
    assert row.quarantined_at is not None
    assert row.lease_token is None
    assert "died" in row.last_error


def test_a_quarantined_trader_is_never_claimed(now):
    add(now, quarantined_at=timezone.now())
    add(now, quarantined_at=timezone.now(), retry_at=50)

    assert ids(take(now)) == []
