"""What the benchmarks write, written in small: no migration can break them unseen."""

from __future__ import annotations

import random

import pytest
from django.db import connection

from bench import (
    addresses,
    admin,
    appending,
    board,
    book,
    claiming,
    classic,
    day,
    fast_line,
    population,
    pushing,
    ranking,
    rows,
)
from leaderboard.models import Board, LeaderboardMetric
from leaderboard.ranking import remove_unused
from simulator import Simulator, SimulatorConfig
from tests.leaderboard.history import publish as publish_boards
from tests.leaderboard.history import ranked
from traders.ingest import ingest
from traders.ledgers import KnownTraders
from traders.models import EventHead, Ledger, Position, PositionEvent, Trader, TraderDay
from traders.partitions import EVENTS, make_ahead

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 40  # instead of a million
ITS_OWN_TABLES = ("classic_trader", "plain_log")


@pytest.fixture(autouse=True)
def _the_tables_of_a_fresh_database():
    """The head that the flush of the test before took; at the end, nothing that is no model's."""
    EventHead.objects.get_or_create(pk=1)
    yield
    with connection.cursor() as cursor:
        for table in ITS_OWN_TABLES:
            cursor.execute(f"DROP TABLE IF EXISTS {table}")
    Board.objects.all().delete()
    remove_unused()


@pytest.fixture
def numbers():
    """Random numbers, the same in every run."""
    return random.Random(1)


@pytest.fixture
def many(monkeypatch, numbers):
    """The traders that all large benchmarks begin with."""
    for module in (population, admin):
        monkeypatch.setattr(module, "TRADERS", MANY)
    population.load(numbers)
    return list(Trader.objects.order_by("id").values_list("address", flat=True))


def test_the_board_that_is_served(monkeypatch, services):
    monkeypatch.setattr(board, "PEOPLE", 5)
    board.load()

    shown = LeaderboardMetric.objects.filter(board=Board.objects.get(window="30"))
    assert len(set(shown.values_list("trader_score", flat=True))) == 5


def test_the_board_of_the_classic_measures(monkeypatch):
    monkeypatch.setattr(classic, "BOARD_TRADERS", 5)
    classic._board_seconds()

    assert TraderDay.objects.count() == 5 * classic.BOARD_DAYS
    assert set(Board.objects.values_list("traders", flat=True)) == {5}


def test_claims_of_many(many):
    claiming.row_by_row()
    claiming.same_in_one_transaction()
    claiming.one_commit()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM classic_trader WHERE last_tracked_at IS NULL")
        assert cursor.fetchone() == (0,)
    claiming.finish()


def test_addresses_each_way(numbers):
    for write in (addresses.with_the_orm, addresses.with_plain_sql, addresses.in_a_batch):
        write([population.random_address(numbers) for _ in range(3)])

    assert Trader.objects.count() == 9


def test_the_history_of_many_and_their_ranking(monkeypatch, many):
    monkeypatch.setattr(ranking, "CLASSIC_TRADERS", 3)
    ranking.load()
    boards = publish_boards()

    assert len(ranked(boards["all"])) == MANY
    assert ranking.classic_seconds_for_each() > 0


def test_the_rows_and_the_pages_of_the_admin(many, admin_user):
    admin.load()

    assert Position.objects.count() == 3 * MANY
    assert PositionEvent.objects.count() == MANY
    assert "trader, search nobody" in dict(admin.pages(admin_user))


def test_a_book_and_its_trades_both_ways(monkeypatch, many, numbers):
    monkeypatch.setattr(book, "MARKET_MAKERS", MANY // 4)
    book.load()
    known, market = KnownTraders(), book.Market(book.addresses(), numbers)
    ingest(market.batch(20), known)
    with_ours = EventHead.objects.get().head
    rows.write(market.batch(20))

    assert 0 < with_ours < EventHead.objects.get().head
    assert Ledger.objects.count() == MANY


def test_bases_of_the_fast_line(many):
    with connection.cursor() as cursor:
        cursor.execute(fast_line.BASES, [many[:3]])

    assert Ledger.objects.count() == 3


def test_a_day_of_events(monkeypatch):
    for name, few in (("EVENTS_OF_A_DAY", 200), ("AT_ONCE", 100)):
        monkeypatch.setattr(day, name, few)
    day._fill()

    assert PositionEvent.objects.count() == EventHead.objects.get().head == 200


def test_events_appended_to_both_logs(monkeypatch):
    monkeypatch.setattr(appending, "BATCH", 3)
    make_ahead(EVENTS)
    appending.make_plain()
    for table in ("plain_log", EVENTS.table):
        appending.Appender(table).run()

    assert PositionEvent.objects.count() == 3
    pushing.commit(2)
    assert EventHead.objects.get().head == 2


def test_every_kind_of_change_of_the_classic_measures():
    with Simulator(SimulatorConfig(traders=20, coins=("BTC", "ETH"))) as sim:
        kinds = classic._kinds_seen(sim)

    assert kinds == {"OPEN", "INCREASE", "DECREASE", "FLIP", "CLOSE"}
