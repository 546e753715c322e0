"""What the sockets' rows say about how the feed is covered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import F

from hlcopy.clock import utc_now
from traders.coverage import covered_coins, feed, forget_dead, last_carried, report
from traders.models import FeedSocket
from traders.socket_report import SocketReport

SINCE = datetime(2026, 7, 22, 1, 30, tzinfo=UTC)
ONE = SocketReport(
    name="host:1-ab/0",
    connected=True,
    since_at=SINCE,
    coins=["BTC", "ETH"],
    newest_block_ms=50,
    trades=3,
    bad_frames=1,
    reconnects=2,
    last_error="",
)
TWO = replace(ONE, name="host:1-ab/1", coins=["BTC", "SOL"], newest_block_ms=70, last_error="why")

pytestmark = pytest.mark.django_db


def older(seconds: float) -> None:
    """Let the rows be as old as if nobody had written them for so long."""
    FeedSocket.objects.update(seen_at=F("seen_at") - timedelta(seconds=seconds))


def test_without_a_row_nothing_is_covered():
    assert covered_coins() == {}
    assert feed().connected is False
    assert feed().since_at is None
    assert feed().newest_block_ms is None


def test_a_coin_is_covered_up_to_the_newest_block_of_any_of_its_sockets():
    report([ONE, TWO])

    assert covered_coins() == {"BTC": 70, "ETH": 50, "SOL": 70}


def test_a_row_is_written_over_by_the_next_report():
    report([ONE])
    report([replace(ONE, newest_block_ms=None, trades=9)])

    row = FeedSocket.objects.get()
    assert (row.trades, row.newest_block_ms, row.coins) == (9, None, ["BTC", "ETH"])
    assert covered_coins() == {"BTC": None, "ETH": None}


def test_a_row_that_nobody_writes_covers_nothing_after_five_seconds():
    report([ONE])
    older(4)
    assert covered_coins() == {"BTC": 50, "ETH": 50}
    older(2)
    assert covered_coins() == {}
    assert feed().connected is False


def test_a_socket_that_is_not_connected_covers_nothing():
    report([replace(ONE, connected=False), TWO])

    assert covered_coins() == {"BTC": 70, "SOL": 70}


def test_the_feed_is_what_all_sockets_together_have():
    report([ONE, replace(TWO, since_at=SINCE + timedelta(hours=1))])
    whole = feed()

    assert (whole.connected, whole.since_at, whole.sockets, whole.coins) == (True, SINCE, 2, 3)
    assert (whole.newest_block_ms, whole.reconnects, whole.bad_frames) == (70, 4, 2)
    assert whole.last_error == "why"


def test_dead_rows_go_after_an_hour_and_living_ones_stay():
    report([ONE])
    older(3590)
    assert forget_dead() == 0
    older(20)
    report([TWO])

    assert forget_dead() == 1
    assert FeedSocket.objects.get().name == TWO.name


@pytest.mark.parametrize("lost", [{}, {"BTC": 50}])
def test_the_last_that_carried_a_coin_is_remembered_until_others_have_carried_on(lost):
    report([replace(ONE, coins=[], lost=lost) if lost else ONE, replace(TWO, coins=[])])
    older(3610)
    report([replace(TWO, name="new:1/0", coins=[], since_at=SINCE)])

    # It is connected and carries nothing yet: where the gap begins nobody else knows.
    assert forget_dead() == 1
    assert last_carried(["BTC"]) == {"BTC": 50}
    report([replace(TWO, name="new:1/0", since_at=utc_now())])
    assert forget_dead() == 0
    report([replace(TWO, name="new:1/0", since_at=utc_now() - timedelta(seconds=61))])
    assert forget_dead() == 1
    assert last_carried(["BTC"]) == {"BTC": 70}
