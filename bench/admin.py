"""Every list of the admin beside a million rows, asked as a browser does: whole pages, logged in.

Opened are each list, its last page, each choice of each filter, and searches: a whole address, a
beginning that many share, and one that nobody has.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.options import ModelAdmin
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client, RequestFactory, override_settings
from django.urls import reverse

from bench.measure import Promise
from bench.population import TRADERS
from hlcopy.clock import utc_now
from hlcopy.configuration import PRESETS
from leaderboard import ranking
from traders.models import Trader
from traders.partitions import EVENTS, SNAPSHOTS, make_room

PROMISED_SECONDS = 0.3
ROUNDS = 7
#: One trader with so many of all events and snapshots: a maker.
MAKER = 200_000
#: Every tenth trader waits for healing.
HEALED_ONE_IN = 10
# As many rows as traders, of positions three times as many, in order of time; every fifth is the
# maker's.
ROWS = {
    "traders_trader": f"""
UPDATE traders_trader SET healing = 'gap' WHERE id %% {HEALED_ONE_IN} = 0""",
    "traders_position": """
INSERT INTO traders_position (trader_id, dex, coin, size, entry_price, fees, leverage_type,
       as_of_ms)
SELECT id, '', 'C' || (id + 67 * n) %% 200, 1, 100, 0, 'cross', 1760000000000 + id
  FROM traders_trader, generate_series(0, 2) AS n""",
    "traders_ledger": """
INSERT INTO traders_ledger (trader_id, floors, bases, doubts, emptied)
SELECT id, jsonb_build_object('', 1760000000000 + id), '{}', '{}', '{}' FROM traders_trader""",
    "traders_waitingfill": """
INSERT INTO traders_waitingfill (trader_id, coin, time_ms, size, price, is_taker)
SELECT CASE WHEN n %% 100 = 0 THEN %(maker)s ELSE %(first)s + n * 7919 %% %(rows)s END,
       'C' || n %% 200, 1760000000000 + n, 1, 100, true
  FROM generate_series(1::bigint, %(rows)s) AS n""",
    "traders_coin": """
INSERT INTO traders_coin (name, dex, size_decimals, is_delisted, updated_at)
SELECT 'C' || n, '', 2, false, now() FROM generate_series(0, 199) AS n""",
    "traders_feedcursor": """
INSERT INTO traders_feedcursor (coin, keys, newest_ms, gap_until_ms, last_price, trades, late)
SELECT 'C' || n, '', 1760000000000, 1760000000000, 101, 0, 0
  FROM generate_series(0, 199) AS n""",
    "traders_feedgap": """
INSERT INTO traders_feedgap (coin, from_ms, to_ms, reason, noted_at)
SELECT 'C' || n %% 200, 1750000000000 + n, 1750000000100 + n,
       CASE WHEN n %% 100000 = 0 THEN 'drift' ELSE 'outage' END,
       now() - (%(rows)s - n) * interval '1 s'
  FROM generate_series(1::bigint, %(rows)s) AS n""",
    "traders_correction": """
INSERT INTO traders_correction (trader_id, coin, corrected_at, state_time_ms, ledger_size,
       snapshot_size, cause)
SELECT %(first)s + n * 7919 %% %(rows)s, 'C' || n %% 200, now() - (%(rows)s - n) * interval '1 s',
       1760000000000 + n, 1, 2, CASE WHEN n %% 100000 = 0 THEN 'drift' ELSE 'gap' END
  FROM generate_series(1::bigint, %(rows)s) AS n""",
    "traders_positionevent": """
INSERT INTO traders_positionevent
SELECT n, now() - (%(rows)s - n) * interval '1 s', CASE WHEN n %% 5 = 0 THEN %(maker)s
       ELSE %(first)s + n * 7919 %% %(rows)s END, '0x' || repeat('a', 40), 'OPEN', 'BTC', 'BUY',
       0, 1, 60000, 'snapshot', false, false, 1760000000000 + n, '{}'
  FROM generate_series(1::bigint, %(rows)s) AS n""",
    "traders_accountsnapshot": """
INSERT INTO traders_accountsnapshot (trader_id, dex, state_time_ms, fetched_at, account_value,
       total_notional, margin_used, positions, applied)
SELECT CASE WHEN n %% 5 = 0 THEN %(maker)s ELSE %(first)s + n * 7919 %% %(rows)s END, '',
       1760000000000 + n, now() - (%(rows)s - n) * interval '1 s', 1000, 10, 1, 1, true
  FROM generate_series(1::bigint, %(rows)s) AS n""",
    "traders_traderday": """
INSERT INTO traders_traderday (trader_id, day, volume_usd, fills, taker_volume_usd,
       unknown_volume_usd, wash_volume_usd, events, closed, wins, losses, gross_profit, gross_loss,
       held_ms, realised_gross, fees, net_flow, snapshots)
SELECT id, current_date, id %% 9973, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2
  FROM traders_trader""",
    "hlcopy_jobrun": """
INSERT INTO hlcopy_jobrun (job, slot, state, attempts, sent_at, worker, error, summary)
SELECT 'job', n, 'done', 1, now(), '', '', '{}' FROM generate_series(1::bigint, %(rows)s) AS n""",
}


def load() -> None:
    """Fill the tables that the lists show, and a board of all who were tracked."""
    first, maker = (
        Trader.objects.order_by(order).values_list("id")[0][0] for order in ("id", "-id")
    )
    for log in (EVENTS, SNAPSHOTS):
        make_room(log, 1, 2 * TRADERS)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE traders_eventhead SET head = %s", [TRADERS])
        for table, statement in ROWS.items():
            cursor.execute(statement, {"rows": TRADERS, "first": first, "maker": maker})
            cursor.execute(f"VACUUM ANALYZE {table}")
    preset = settings.CONFIGURATION.leaderboard_preset
    ranking.publish(utc_now(), preset, PRESETS[preset], windows=("30",))


def pages(user: User) -> Iterator[tuple[str, str]]:
    """Yield name and address of all that is opened."""
    address = Trader.objects.order_by("-id")[0].address
    for model, options in admin.site._registry.items():
        name = model._meta.model_name
        url = reverse(f"admin:{model._meta.app_label}_{name}_changelist")
        yield f"{name}", url
        request = RequestFactory().get(url)
        request.user = user
        changelist = options.get_changelist_instance(request)
        yield f"{name}, last page", f"{url}?p={changelist.paginator.num_pages}"
        for spec in changelist.filter_specs:
            for choice in list(spec.choices(changelist))[1:]:
                query = str(choice["query_string"])
                yield f"{name} {query}", url + query
        yield from searches(options, name or "", url, address)


def searches(
    options: ModelAdmin[Any], name: str, url: str, address: str
) -> Iterator[tuple[str, str]]:
    """Yield what is searched for, where that can be."""
    if options.search_fields:
        for text in (address, address[:6], "0x1", "0x", "0xffffffffff", "nobody"):
            yield f"{name}, search {text[:14]}", f"{url}?q={text}"


@override_settings(
    ALLOWED_HOSTS=["testserver"],
    STORAGES={"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}},
)
def bench() -> list[Promise]:
    """Load, open everything, print the times; return what was promised of them."""
    load()
    client = Client()
    user = User.objects.create_superuser("bench", password=None)
    client.force_login(user)
    medians = {}
    for name, url in pages(user):
        seconds = [opened_in(client, url) for _ in range(ROUNDS)]
        medians[name] = statistics.median(seconds)
        print(f"{name:60}{medians[name] * 1e3:8.1f} ms  max {max(seconds) * 1e3:8.1f} ms")
    trader = Trader.objects.order_by("-id")[0]
    record = statistics.median(
        opened_in(client, reverse("admin:traders_trader_change", args=[trader.pk]))
        for _ in range(ROUNDS)
    )
    print(f"{'the record of a trader':60}{record * 1e3:8.1f} ms")
    for url in (f"/api/v1/traders/{trader.address}", "/api/v1/stats", "/traders"):
        median = statistics.median(opened_in(client, url) for _ in range(ROUNDS))
        print(f"{url[:60]:60}{median * 1e3:8.1f} ms")
    slowest = max(medians, key=medians.__getitem__)
    return [
        Promise(
            f"each admin list at 1,000,000 rows below {PROMISED_SECONDS * 1e3:.0f} ms (median)",
            f"{len(medians)} pages, slowest {medians[slowest] * 1e3:.0f} ms ({slowest})",
            medians[slowest] < PROMISED_SECONDS,
        )
    ]


def opened_in(client: Client, url: str) -> float:
    """Return the seconds that a whole page takes."""
    began = time.perf_counter()
    answer = client.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    return time.perf_counter() - began
