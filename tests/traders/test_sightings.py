"""Addresses become traders once, with every dex on which they were seen."""

from __future__ import annotations

import threading
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


def test_writers_in_opposite_order_do_not_wait_in_a_circle(transactional_db):
    """Both know the same addresses and both add a dex to the other's: order decides."""
    addresses = [f"0x{number:040x}" for number in range(400)]
    record({(address, "") for address in addresses[::2]}, AT)
    start = threading.Barrier(2)
    failures: list[Exception] = []

    def write(dex: str, mine: list[str]) -> None:
        try:
            start.wait(5)
            for half in (mine[:300], mine[100:]):
                with transaction.atomic():
                    record({(address, dex) for address in half}, LATER)
        except Exception as failure:  # noqa: BLE001 (shown by the assertion)
            failures.append(failure)
        finally:
            connection.close()

    writers = [
        threading.Thread(target=write, args=("xyz", addresses)),
        threading.Thread(target=write, args=("flx", addresses[::-1])),
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)

    assert not failures
    assert Trader.objects.count() == 400
    assert all(set(trader.dexes) == {"", "xyz", "flx"} for trader in Trader.objects.all())


def test_an_address_in_another_spelling_is_refused_by_the_database(db):
    with pytest.raises(Exception, match="address_is_lower_case_hex"):
        record({(ALICE.upper(), "")}, AT)
