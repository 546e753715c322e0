"""Who is looked at before its turn, and when several corrections mean that trades are missing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from hlcopy.clock import utc_now
from tests.traders.book import (
    add_correction,
    add_cursor,
    add_gap,
    add_position,
    add_trader,
    address,
)
from tests.traders.looks import Feed
from tests.traders.states import SIZE_DECIMALS, held, state
from traders import claims, healing, tracked
from traders.models import Correction, FeedCursor, FeedGap, Healing, Position, Trader

pytestmark = pytest.mark.django_db


def soon():
    """Return a time that PostgreSQL's clock has not reached, within one transaction too."""
    return timezone.now() + timedelta(seconds=1)


def queued():
    return set(Trader.objects.exclude(healing="").values_list("pk", "healing"))


def test_a_gap_queues_exactly_those_who_hold_its_coin():
    holder, other, gone = (add_trader(number) for number in (1, 2, 3))
    add_position(holder, "BTC", "1")
    add_position(other, "ETH", "1")
    add_position(gone, "BTC", "1")
    Trader.objects.filter(pk=gone.pk).update(quarantined_at=timezone.now())
    add_gap("BTC", 5, 9)

    assert healing.queue_holders() == 1
    assert queued() == {(holder.pk, Healing.GAP)}
    assert Trader.objects.get(pk=holder.pk).retry_at <= soon()
    assert FeedGap.objects.get().queued_at is not None
    assert healing.queue_holders() == 0


def test_who_waits_already_keeps_its_reason_and_its_earlier_time():
    waits, failing = add_trader(1), add_trader(2)
    for trader in (waits, failing):
        add_position(trader, "BTC", "1")
    early, late = timezone.now() - timedelta(hours=1), timezone.now() + timedelta(hours=1)
    Trader.objects.filter(pk=waits.pk).update(healing=Healing.DOUBT, retry_at=early)
    Trader.objects.filter(pk=failing.pk).update(retry_at=late)
    add_gap("BTC", 5, 9)
    healing.queue_holders()

    assert queued() == {(waits.pk, Healing.DOUBT), (failing.pk, Healing.GAP)}
    assert Trader.objects.get(pk=waits.pk).retry_at == early
    assert Trader.objects.get(pk=failing.pk).retry_at <= soon()


def test_more_holders_than_one_transaction_takes_are_all_queued():
    many = healing.AT_ONCE + 3
    traders = Trader.objects.bulk_create(
        Trader(address=address(number), first_seen_at=utc_now()) for number in range(1, many + 1)
    )
    Position.objects.bulk_create(
        Position(trader=trader, coin="BTC", size=1, entry_price=1, as_of_ms=1) for trader in traders
    )
    add_gap("BTC", 5, 9)

    assert healing.queue_holders() == many
    assert Trader.objects.filter(healing=Healing.GAP).count() == many


def corrected(count, *, first=1, **values):
    for number in range(first, first + count):
        add_correction(add_trader(number), "BTC", state_time_ms=400_000, **values)


def test_three_drifting_traders_write_a_gap_once():
    add_cursor("BTC", gap_until_ms=7, newest_ms=900_000)
    corrected(2)
    assert healing.note_drift({"BTC", "ETH"}) == []
    corrected(1, first=3)
    assert healing.note_drift({"BTC"}) == ["BTC"]
    assert healing.note_drift({"BTC"}) == []

    gap = FeedGap.objects.get()
    assert (gap.coin, gap.from_ms, gap.to_ms, gap.reason) == ("BTC", 100_000, 900_000, "drift")
    assert FeedCursor.objects.get(pk="BTC").gap_until_ms == 900_000
    # Three more are needed for another one.
    corrected(2, first=4)
    assert healing.note_drift({"BTC"}) == []
    corrected(1, first=6)
    assert healing.note_drift({"BTC"}) == ["BTC"]


def test_a_drift_whose_gap_nobody_came_to_write_is_found():
    add_cursor("BTC", gap_until_ms=7, newest_ms=900_000)
    assert healing.note_every_drift() == []
    corrected(3)

    assert healing.note_every_drift() == ["BTC"]
    assert healing.note_every_drift() == []


@pytest.mark.parametrize(
    "values", [{"cause": "gap"}, {"corrected_at": timezone.now() - timedelta(seconds=301)}]
)
def test_what_a_gap_explains_or_is_long_ago_is_no_drift(values):
    add_cursor("BTC", gap_until_ms=7, newest_ms=900_000)
    corrected(2)
    corrected(3, first=3, **values)

    assert healing.note_drift({"BTC"}) == []


def test_one_trader_corrected_three_times_is_no_drift():
    add_cursor("BTC", gap_until_ms=7, newest_ms=900_000)
    trader = add_trader(1)
    for _ in range(3):
        add_correction(trader, "BTC")

    assert healing.note_drift({"BTC"}) == []


def take(size, *, rotates=True):
    batch = claims.claim(*(size,), lease_seconds=60, before=soon(), alone=True, rotates=rotates)
    return [claim.trader_id for claim in batch.claims]


def add(count, **fields):
    first = Trader.objects.count() + 1
    pks = [add_trader(number).pk for number in range(first, first + count)]
    Trader.objects.filter(pk__in=pks).update(**fields)
    return pks


def test_healing_takes_half_of_a_pass_and_the_others_a_quarter_each():
    past = timezone.now() - timedelta(hours=1)
    hurt = add(20, healing=Healing.GAP, retry_at=past, last_tracked_at=past)
    new = add(20)
    overdue = add(20, last_tracked_at=past)

    batch = take(16)
    assert [len(set(batch) & set(group)) for group in (hurt, new, overdue)] == [8, 4, 4]


def test_new_addresses_leave_a_quarter_to_the_overdue_and_the_overdue_to_them():
    past = timezone.now() - timedelta(hours=1)
    new = add(20)
    overdue = add(2, last_tracked_at=past)

    batch = take(8)
    assert [len(set(batch) & set(group)) for group in (new, overdue)] == [6, 2]
    more = add(20, last_tracked_at=past)
    assert len(set(take(20)) & set(more)) >= 5


def test_a_round_of_healing_takes_nobody_else():
    past = timezone.now() - timedelta(hours=1)
    hurt = add(3, healing=Healing.GAP, retry_at=past)
    add(3)
    add(3, last_tracked_at=past)

    assert take(16, rotates=False) == hurt
    assert take(16, rotates=False) == []


def record(feed, at_ms, *positions):
    """Write one snapshot as a pass does."""
    Trader.objects.exclude(pk=feed.trader.pk).update(quarantined_at=timezone.now())
    Trader.objects.update(retry_at=None)
    [claim] = claims.claim(1, lease_seconds=60, before=soon(), alone=True).claims
    told = state(1_790_000_000_000 + at_ms, *positions)
    followed = frozenset(["BTC", "ETH"])
    return tracked.record(claim, {"": told}, SIZE_DECIMALS, utc_now(), followed)


def test_a_doubt_is_looked_at_five_seconds_later_and_then_never_again():
    feed = Feed()
    record(feed, 10_000, held("BTC", "1"))
    assert Trader.objects.get(pk=feed.trader.pk).healing == ""
    record(feed, 30_000, held("BTC", "2"))

    trader = Trader.objects.get(pk=feed.trader.pk)
    assert trader.healing == Healing.DOUBT
    assert timedelta(seconds=3) < trader.retry_at - soon() < timedelta(seconds=5)
    recorded = record(feed, 36_000, held("BTC", "2"))
    assert len(recorded.corrections) == Correction.objects.count() == 1
    trader.refresh_from_db()
    assert (trader.healing, trader.retry_at) == ("", None)
