"""An import beside sockets, beside another import, and on a database that refuses."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from django.db import connection
from django.db.models import Sum

from discovery.importing import FileImport, Source, Summary, TakenOverError
from discovery.nodeblocks import trades_of
from discovery.nodefiles import find
from exchange.node import decode_line
from tests.discovery.node_market import Event, NodeMarket, hourly, text, write
from tests.discovery.test_importfills import held, imported
from traders import healing
from traders.cursors import Arrival
from traders.ingest import ingest
from traders.ledgers import KnownTraders
from traders.models import Correction, FeedGap, PositionEvent, TraderDay

pytestmark = pytest.mark.django_db(transaction=True)
#: PostgreSQL's codes: admin_shutdown, numeric_value_out_of_range.
SHUTTING_DOWN, OUT_OF_RANGE = "57P01", "22003"


def fed(blocks: Iterable[list[Event]]) -> None:
    """Let sockets bring the blocks, which tell no starts."""
    known = KnownTraders()
    for block in blocks:
        fills = decode_line(text([block], by_block=True)).fills
        ingest([Arrival(c, tuple(trades)) for c, (trades, _) in trades_of(fills).items()], known)


def counted_fills() -> int:
    """Return how many fills are in the days."""
    total: int = TraderDay.objects.aggregate(total=Sum("fills"))["total"]
    return total


def fills_of(blocks: Iterable[list[Event]]) -> int:
    """Return how many fills have two parties, each of which is counted once."""
    events = [event for block in blocks for event in block]
    pairs = zip(events[::2], events[1::2], strict=True)
    return sum(2 for first, second in pairs if first[0] != second[0])


def test_what_the_sockets_missed_is_counted_late_and_once(tmp_path):
    market = NodeMarket()
    first, blocks = market.blocks(200), market.blocks(60)
    write(hourly(tmp_path, 9), text(first, by_block=True))
    write(hourly(tmp_path, 10), text(blocks, by_block=True))
    imported(hourly(tmp_path, 9))
    fed(blocks[:20] + blocks[40:])
    assert held() != market.held()

    imported(hourly(tmp_path, 10))

    assert held() == market.held()
    assert counted_fills() == fills_of(first + blocks)
    assert not Correction.objects.exists()


def test_where_the_sockets_were_first_the_next_fill_tells_the_position(tmp_path):
    market = NodeMarket()
    market.warm_up()
    before, after = market.blocks(30), market.blocks(200)
    fed(before)
    assert not held()
    write(hourly(tmp_path, 10), text(before + after, by_block=True))

    imported(tmp_path)

    assert held() == market.held()
    # A coin's first frame from a socket counts in nothing: nobody knows what was before it.
    first: dict[str, int] = {}
    for number, block in enumerate(before):
        for event in block:
            first.setdefault(event[1]["coin"], number)
    unseen = [[e for e in block if first[e[1]["coin"]] == n] for n, block in enumerate(before)]
    assert counted_fills() == fills_of(before + after) - fills_of(unseen)
    assert not Correction.objects.exists()


def test_a_node_that_tells_other_positions_than_the_feed_wins_and_the_drift_is_a_gap(tmp_path):
    market = NodeMarket(traders=8)
    first, missed, later = market.blocks(150), market.blocks(30), market.blocks(200)
    write(hourly(tmp_path, 9), text(first, by_block=True))
    write(hourly(tmp_path, 10), text(first[-1:] + later, by_block=True))
    imported(tmp_path)

    assert missed
    assert held() == market.held()
    assert Correction.objects.filter(cause="drift").exists()
    assert healing.note_every_drift()
    assert FeedGap.objects.filter(reason="drift").exists()


def opened(path: Path) -> FileImport:
    """Open a file for an import of its own."""
    [file] = find([path])
    return FileImport(file, Source(), Summary(), KnownTraders())


def test_two_imports_of_one_file_count_it_once_and_the_second_gives_way(tmp_path):
    market = NodeMarket()
    happened = market.blocks(90)
    path = write(hourly(tmp_path, 10), text(happened, by_block=True))
    one, other = opened(path), opened(path)
    blocks = one.read()
    assert len(other.read()) == len(blocks)

    one.commit(blocks[:30], clock_ms=0)
    # The answer to a commit may be lost: the same again is no other import.
    other.commit(blocks[:30], clock_ms=0)
    one.commit(blocks[30:], clock_ms=0)
    with pytest.raises(TakenOverError, match="another import"):
        other.commit(blocks[30:60], clock_ms=0)
    one.close()
    other.close()

    assert held() == market.held()
    assert counted_fills() == fills_of(happened)


def refusing(condition: str, code: str) -> None:
    """Let PostgreSQL refuse positions with an error of this code while the condition holds."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SEQUENCE refusals")
        cursor.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF {condition} THEN RAISE EXCEPTION 'refused' USING ERRCODE = '{code}'; "
            "END IF; RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON traders_position "
            "FOR EACH ROW EXECUTE FUNCTION refuse()"
        )


@pytest.fixture
def forgiving():
    """Drop what `refusing` has made."""
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION IF EXISTS refuse CASCADE")
        cursor.execute("DROP SEQUENCE IF EXISTS refusals")


@pytest.mark.usefixtures("forgiving")
def test_what_the_database_refuses_is_a_gap_and_costs_nothing_else(tmp_path):
    market = NodeMarket()
    path = write(hourly(tmp_path, 10), text(market.blocks(60), by_block=True))
    refusing("NEW.coin = 'ETH'", OUT_OF_RANGE)

    imported(path)

    truth = market.held()
    assert "ETH" not in {coin for _, coin in held()}
    assert FeedGap.objects.filter(coin="ETH", reason="refused").exists()
    # A block that is refused is refused with all its coins; the next fill there tells the rest.
    exact = [key for key, size in held().items() if truth.get(key) == size]
    assert len(exact) > len(held()) // 2


@pytest.mark.usefixtures("forgiving")
@pytest.mark.parametrize("code", [SHUTTING_DOWN, OUT_OF_RANGE])
def test_a_database_that_fails_for_a_while_gets_everything_once(tmp_path, code):
    market = NodeMarket()
    happened = market.blocks(60)
    write(hourly(tmp_path, 10), text(happened, by_block=True))
    # A sequence is not rolled back: it counts the attempts.
    refusing("nextval('refusals') < 3", code)

    imported(tmp_path)

    assert held() == market.held()
    assert counted_fills() == fills_of(happened)
    assert PositionEvent.objects.count() == PositionEvent.objects.latest("id").id
    assert set(FeedGap.objects.values_list("reason", flat=True)) == {"first"}
