"""Addresses become traders once, with every dex on which they were seen."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

import pytest
from django.db import connection, transaction

from traders.models import Trader
from traders.sightings import record

AT = datetime(2026, 7, 22, 1, 30, tzinfo=UTC)
LATER = datetime(2026, 7, 22, 1, 31, tzinfo=UTC)
ALICE, BOB, CAROL = (f"0x{letter * 40}" for letter in "abc")


def test_it_adds_each_unknown_address_once(db):
    assert record({(ALICE, ""), (BOB, "")}, AT) == 2
    assert record({(ALICE, ""), (CAROL, "")}, LATER) == 1

    assert dict(Trader.objects.values_list("address", "first_seen_at")) == {
        ALICE: AT,
        BOB: AT,
        CAROL: LATER,
    }


def test_nothing_seen_asks_nothing(db, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert record(set(), AT) == 0


def test_a_trader_of_a_builders_dex_has_the_main_one_too(db):
    record({(ALICE, "xyz"), (BOB, ""), (BOB, "xyz")}, AT)

    assert Trader.objects.get(address=ALICE).dexes == ["", "xyz"]
    assert Trader.objects.get(address=BOB).dexes == ["", "xyz"]


def test_a_known_trader_seen_on_new_dexes_keeps_the_old_ones(db):
    record({(ALICE, ""), (BOB, "")}, AT)

    assert record({(ALICE, "xyz"), (ALICE, "flx"), (BOB, "")}, LATER) == 0
    assert record({(ALICE, "xyz"), (ALICE, "abc")}, LATER) == 0

    assert Trader.objects.get(address=ALICE).dexes == ["", "flx", "xyz", "abc"]
    assert Trader.objects.get(address=BOB).dexes == [""]


def test_a_new_trader_is_as_the_model_says(db):
    record({(ALICE, "")}, AT)

    trader = Trader.objects.get(address=ALICE)
    trader.full_clean()
    fresh = Trader(address=ALICE, first_seen_at=AT)
    differing = {
        field.name
        for field in Trader._meta.concrete_fields
        if getattr(trader, field.attname) != getattr(fresh, field.attname)
    }
    assert differing == {"id"}


@pytest.mark.parametrize("dex", ["", "xyz"], ids=["new traders", "new dexes"])
def test_two_writers_never_wait_for_each_other_in_a_circle(transactional_db, dex):
    """Whoever waits for an address holds none that comes after it."""
    addresses = [f"0x{number:040x}" for number in range(101)]
    middle, after = addresses[50], addresses[51:]
    if dex:
        # The last ones lie first in the table.
        for address in reversed(addresses):
            record({(address, "")}, AT)

    def take(some: list[str]) -> None:
        """Hold the addresses as another writer does: by adding them, or by locking their rows."""
        if dex:
            rows = Trader.objects.filter(address__in=some).order_by("address")
            assert len(rows.select_for_update(no_key=True)) == len(some)
        else:
            record({(address, "") for address in some}, AT)

    failures: list[Exception] = []

    def write_all() -> None:
        try:
            with transaction.atomic():
                record({(address, dex) for address in addresses}, LATER)
        except Exception as failure:  # noqa: BLE001 (shown by the assertion)
            failures.append(failure)
        finally:
            connection.close()

    other = threading.Thread(target=write_all)
    with transaction.atomic():
        take([middle])
        other.start()
        wait_for_a_waiting_writer()
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '300ms'")
        take(after)
    other.join(10)

    assert not failures
    assert Trader.objects.count() == 101
    assert all(dex in trader.dexes for trader in Trader.objects.all())


def wait_for_a_waiting_writer() -> None:
    """Return when another session waits for a lock; fail after 5 s."""
    give_up_at = time.monotonic() + 5
    with connection.cursor() as cursor:
        while time.monotonic() < give_up_at:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
            time.sleep(0.005)
    raise AssertionError("nobody waits")


def test_an_address_in_another_spelling_is_refused_by_the_database(db):
    with pytest.raises(Exception, match="address_is_lower_case_hex"):
        record({(ALICE.upper(), "")}, AT)
