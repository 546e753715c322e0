"""The admin: every list and every record opens, is found by index, and cannot be changed."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from hlcopy.admin import COUNTED_ROWS, EstimatingPaginator
from hlcopy.clock import utc_now
from hlcopy.models import Alert, Heartbeat, JobHealth, JobRun
from tests.traders.book import add_correction, add_cursor, add_events, add_gap, add_trader
from traders.models import (
    AccountSnapshot,
    Coin,
    Correction,
    EventHead,
    FeedCursor,
    FeedDay,
    FeedGap,
    FeedSocket,
    ImportedFile,
    Position,
    PositionEvent,
    Trader,
)

MODELS = [
    *(Trader, Position, PositionEvent, AccountSnapshot, Correction, Coin),
    *(FeedSocket, FeedCursor, FeedDay, FeedGap, ImportedFile),
    *(JobRun, JobHealth, Heartbeat, Alert),
]
ADDRESS = f"0xab{'c' * 38}"


@pytest.fixture
def records(db):
    """One record of each kind."""
    now = utc_now()
    trader = Trader.objects.create(address=ADDRESS, first_seen_at=now)
    Trader.objects.create(address=f"0xff{'0' * 38}", first_seen_at=now, failures=2)
    Position.objects.create(
        trader=trader, coin="BTC", size=Decimal("-0.5"), entry_price=65000, as_of_ms=1
    )
    AccountSnapshot.objects.create(
        trader=trader,
        state_time_ms=1,
        fetched_at=now,
        total_notional=1,
        margin_used=1,
        positions=1,
        applied=True,
    )
    PositionEvent.objects.create(
        id=1,
        created_at=now,
        trader_id=trader.pk,
        trader_address=ADDRESS,
        kind="OPEN",
        coin="BTC",
        side="SELL",
        size_before=0,
        size_after=-1,
        source="snapshot",
        exchange_time_ms=1,
    )
    Coin.objects.create(name="BTC", size_decimals=5, updated_at=now)
    FeedSocket.objects.create(name="host:1-ab/0", since_at=now, seen_at=now, coins=["BTC"])
    FeedDay.objects.create(day=now.date(), covered_seconds=60, counted_until=now)
    add_cursor("BTC", gap_until_ms=None)
    add_gap("BTC", None, 1, "first")
    add_correction(trader)
    ImportedFile.objects.create(path="/data/20251009/8.lz4", digest="ab", coins=["BTC"])
    JobRun.objects.create(job="track", slot=1, sent_at=now)
    JobHealth.objects.create(job="track", seconds=75)
    Heartbeat.objects.create(name="host:1:2", role="web", started_at=now, seen_at=now)
    Alert.objects.create(code="drift", since=now, detail="one")
    return trader


def list_url(model) -> str:
    """Return the address of the model's list."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def record_url(record, page: str = "change") -> str:
    """Return the address of one record."""
    names = f"admin:{record._meta.app_label}_{record._meta.model_name}_{page}"
    return reverse(names, args=[record.pk])


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_list_and_a_record_open(records, admin_client, model):
    assert admin_client.get(list_url(model)).status_code == 200
    page = admin_client.get(record_url(model.objects.first()))
    assert page.status_code == 200
    assert b'name="_save"' not in page.content


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_nothing_can_be_added_changed_or_deleted(records, admin_client, model):
    record = model.objects.first()
    urls = [list_url(model) + "add/", record_url(record), record_url(record, "delete")]

    assert [admin_client.post(url, {}).status_code for url in urls] == [403, 403, 403]
    assert model.objects.filter(pk=record.pk).exists()


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (ADDRESS, [ADDRESS]),
        (ADDRESS.upper().replace("X", "x"), [ADDRESS]),
        ("0xab", [ADDRESS]),
        ("0xabd", []),
        ("ab", []),
        ("0x%", []),
        ("' OR 1=1", []),
    ],
)
def test_a_trader_is_found_by_address_or_its_beginning(records, admin_client, search, found):
    page = admin_client.get(list_url(Trader), {"q": search})

    assert [trader.address for trader in page.context["cl"].result_list] == found


@pytest.mark.parametrize("model", [Position, PositionEvent, AccountSnapshot])
def test_the_records_of_a_trader_are_found_by_address(records, admin_client, model):
    for search, number in (("0xab", 1), ("0xff", 0), ("nonsense", 0)):
        page = admin_client.get(list_url(model), {"q": search})
        assert len(page.context["cl"].result_list) == number


def test_a_traders_page_shows_the_positions_and_leads_further(records, admin_client):
    page = admin_client.get(record_url(records)).content.decode()

    assert "-0.5" in page
    assert f"https://app.hyperliquid.xyz/explorer/address/{ADDRESS}" in page
    for model in (PositionEvent, AccountSnapshot):
        link = f"{list_url(model)}?trader_id={records.pk}"
        assert link in page
        assert len(admin_client.get(link).context["cl"].result_list) == 1


def test_the_filters_narrow_the_list(records, admin_client):
    for choice, number in (("never", 2), ("failing", 1), ("quarantined", 0)):
        page = admin_client.get(list_url(Trader), {"tracking": choice})
        assert len(page.context["cl"].result_list) == number


def test_the_search_reads_an_index(records):
    # So many that to walk through them all is not the cheaper way.
    Trader.objects.bulk_create(
        Trader(address=f"0x{number:040x}", first_seen_at=utc_now()) for number in range(2_000)
    )
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT * FROM traders_trader WHERE address LIKE '0xab%' ORDER BY id DESC"
        )
        assert "_like" in "".join(row[0] for row in cursor.fetchall())


def test_no_list_counts_its_table(records, admin_client):
    admin_client.get(list_url(Trader))
    for model in MODELS:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            admin_client.get(list_url(model))
        counts = [query["sql"] for query in queries if "COUNT(" in query["sql"].upper()]
        assert all(f"LIMIT {COUNTED_ROWS + 1}" in sql for sql in counts), counts
        assert len(queries) <= 10


def test_a_long_list_shows_an_estimate(db):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO traders_trader (address, first_seen_at, dexes, unfinished_claims,"
            " failures, last_error) SELECT '0x' || lpad(to_hex(n), 40, '0'), now(), '{\"\"}',"
            " 0, 0, '' FROM generate_series(1, %s) AS n",
            [COUNTED_ROWS + 2000],
        )
        cursor.execute("ANALYZE traders_trader")
    everybody = Trader.objects.order_by("-id")

    assert EstimatingPaginator(everybody, 50).count == COUNTED_ROWS + 2000
    assert EstimatingPaginator(everybody.filter(failures=0), 50).count == COUNTED_ROWS
    assert EstimatingPaginator(everybody.filter(failures=1), 50).count == 0


def test_every_model_of_ours_is_in_the_admin():
    registered = {
        model
        for model in admin.site._registry
        if model.__module__.startswith(("traders", "hlcopy"))
    }
    assert registered == set(MODELS)


def test_pages_beyond_the_counted_rows_are_not_offered(db):
    class Many(EstimatingPaginator):
        count = 1_000_000

    assert Many([], 50).num_pages == COUNTED_ROWS / 50
    assert EstimatingPaginator(Trader.objects.order_by("-id"), 50).num_pages == 1


def test_the_estimate_of_a_table_in_partitions_is_theirs(db):
    add_events(add_trader(), COUNTED_ROWS + 500)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE traders_positionevent_0")

    assert EstimatingPaginator(PositionEvent.objects.all(), 50).count == COUNTED_ROWS + 500


def test_a_beginning_that_many_share_finds_the_newest_of_each(records, admin_client):
    EventHead.objects.update_or_create(pk=1, defaults={"head": 1})
    traders = [add_trader(number) for number in range(1, 6)]
    for trader in traders:
        add_events(trader, 30)

    page = admin_client.get(list_url(PositionEvent), {"q": "0x00"})

    assert page.context["cl"].result_count == 150
    newest = [event.pk for event in page.context["cl"].result_list]
    assert newest == sorted(newest, reverse=True)
    assert {event.trader_id for event in page.context["cl"].result_list} == {
        traders[4].pk,
        traders[3].pk,
    }


def test_a_page_further_down_joins_its_own_rows_alone(db, admin_client):
    traders = [add_trader(number) for number in range(1, 61)]
    Position.objects.bulk_create(
        Position(trader=trader, coin="BTC", size=1, as_of_ms=1) for trader in traders
    )

    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(list_url(Position), {"p": 2})

    shown = [position.trader_id for position in page.context["cl"].result_list]
    assert shown == [trader.pk for trader in reversed(traders[:10])]
    joined = [query["sql"] for query in queries if 'JOIN "traders_trader"' in query["sql"]]
    assert joined
    assert not any("OFFSET" in sql for sql in joined)


def test_runs_that_failed_are_found_by_index(db, admin_client):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO hlcopy_jobrun"
            " (job, slot, state, attempts, sent_at, worker, error, summary)"
            " SELECT 'job', n, CASE n WHEN 7 THEN 'failed' ELSE 'done' END, 1, now(), '', '', '{}'"
            " FROM generate_series(1, 20000) AS n"
        )
        cursor.execute("ANALYZE hlcopy_jobrun")

    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(list_url(JobRun), {"state__exact": "failed"})

    assert [run.slot for run in page.context["cl"].result_list] == [7]
    asked = [query["sql"] for query in queries if "\"state\" = 'failed'" in query["sql"]]
    assert asked
    for sql in asked:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN " + sql.replace("%", "%%"), [])
            steps = "\n".join(line for (line,) in cursor.fetchall())
        assert "job_not_done" in steps or "hlcopy_jobrun_pkey" in steps, steps
        assert "Seq Scan" not in steps
