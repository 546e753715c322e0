"""The import as a real process: killed, followed, signalled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from discovery.node import NodeImport
from hlcopy.supervisor.children import popen_options
from tests.discovery.live import CHECKOUT, until
from tests.discovery.node_market import NodeMarket, hourly, text, write
from tests.discovery.test_importfills import book, held
from traders.models import FeedGap, FeedSocket, ImportedFile, PositionEvent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]


@contextmanager
def importing(log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `manage.py importfills` on the tests' database; kill it in the end."""
    database = connection.settings_dict
    url = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database)
    environment = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "importfills", *options],
            cwd=CHECKOUT,
            env=environment,
            stdout=output,
            stderr=output,
            **popen_options(death_signal=signal.SIGKILL),
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(5)


def counted() -> int:
    """Return how many bytes are counted, over all files."""
    return sum(ImportedFile.objects.values_list("offset", flat=True))


def emptied() -> None:
    """Empty every table of the book."""
    with connection.cursor() as cursor:
        tables = [t for t in connection.introspection.table_names(cursor) if t[:8] == "traders_"]
        cursor.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE")


def test_killed_in_the_middle_and_run_again_equals_one_clean_run(tmp_path):
    market = NodeMarket(seed=3, traders=40)
    for hour, suffix in ((8, ".lz4"), (9, ".gz"), (10, "")):
        write(hourly(tmp_path, hour, suffix), text(market.blocks(1200), by_block=hour == 9))
    log = tmp_path / "log"

    kills = 0
    while kills < 2:
        before = counted()
        with importing(log, str(tmp_path)) as process:
            until(lambda: counted() > before or process.poll() is not None, "a batch")  # noqa: B023
            kills += 1
    with importing(log, str(tmp_path)) as process:
        assert process.wait(60) == 0
    torn = book()
    emptied()
    NodeImport(stop=threading.Event()).run([tmp_path])

    assert held() == market.held()
    assert torn == book()
    assert PositionEvent.objects.count() == PositionEvent.objects.latest("id").id


def test_it_follows_a_running_node_over_the_hour_and_covers_its_coins(tmp_path):
    market = NodeMarket()
    market.warm_up()
    log, path = tmp_path / "log", hourly(tmp_path, 10)
    write(path, text(market.blocks(200), by_block=True))

    with importing(log, "--follow", str(tmp_path)) as process:
        until(lambda: held() == market.held(), "what was there")
        until(lambda: FeedSocket.objects.filter(connected=True).exists(), "a row")
        for _ in range(5):
            with path.open("ab") as file:
                content = text(market.blocks(3), by_block=True)
                # A line is written in pieces.
                file.write(content[:100])
                file.flush()
                file.write(content[100:])
            until(lambda: held() == market.held(), "what was appended")
        write(hourly(tmp_path, 11), text(market.blocks(10), by_block=True))
        until(lambda: held() == market.held(), "the next hour")
        row = FeedSocket.objects.get()
        process.terminate()
        assert process.wait(5) == 0

    assert row.name.startswith("node:")
    assert row.coins == ["BTC", "ETH", "xyz:TSLA"]
    assert row.newest_block_ms == market.now_ms
    assert not FeedSocket.objects.get().connected
    assert not FeedGap.objects.exclude(reason="first").exists()
    assert not PositionEvent.objects.filter(stale=True).exists()


def test_what_a_followed_node_appends_is_no_replay(tmp_path):
    market = NodeMarket()
    path = write(hourly(tmp_path, 10), text(market.blocks(30), by_block=False))

    with importing(tmp_path / "log", "--follow", str(tmp_path)):
        until(lambda: FeedSocket.objects.filter(connected=True).exists(), "a row")
        head = PositionEvent.objects.latest("id").id
        with path.open("ab") as file:
            file.write(text(market.blocks(10), by_block=False))
        until(lambda: held() == market.held(), "what was appended")

    assert not PositionEvent.objects.filter(id__lte=head, replayed=False).exists()
    assert not PositionEvent.objects.filter(id__gt=head, replayed=True).exists()
