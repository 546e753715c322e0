"""The database of a demo: begun anew from a copy that is kept as migrations leave it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db.migrations.loader import MigrationLoader
from psycopg.conninfo import make_conninfo

from hlcopy import pristine

MINE = "of_a_demo"


@pytest.fixture
def database_url(settings, db) -> Iterator[str]:
    """A database beside those of the other tests, and nothing kept."""
    url = make_conninfo(settings.DATABASE_URL, dbname=MINE)
    run(settings.DATABASE_URL, f"CREATE DATABASE {MINE}")
    yield url
    for name in (MINE, *kept(url)):
        run(settings.DATABASE_URL, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def run(
    url: str, statement: str, database: str | None = pristine.MAINTENANCE
) -> list[tuple[Any, ...]]:
    """Run one statement outside of a transaction; return its rows."""
    with psycopg.connect(url, dbname=database, autocommit=True) as connection:
        done = connection.execute(statement)
        return done.fetchall() if done.description else []


def kept(url: str) -> list[str]:
    """Return the names of the copies."""
    found = run(url, "SELECT datname FROM pg_database ORDER BY datname")
    return [name for (name,) in found if name.startswith(pristine.PREFIX)]


def tables(url: str) -> list[tuple[Any, ...]]:
    """Return the tables of the demo's database."""
    return run(url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", MINE)


def test_without_a_copy_it_begins_empty_and_with_one_it_begins_with_that(database_url):
    run(database_url, "CREATE TABLE of_an_earlier_demo ()", MINE)
    assert not pristine.begin_anew(database_url)
    assert tables(database_url) == []
    run(database_url, "CREATE TABLE made_by_migrations ()", MINE)
    pristine.keep(database_url)
    run(database_url, "CREATE TABLE of_this_demo ()", MINE)
    assert pristine.begin_anew(database_url)
    assert tables(database_url) == [("made_by_migrations",)]


def test_whoever_was_left_connected_is_no_obstacle(database_url):
    with psycopg.connect(database_url, autocommit=True):
        assert not pristine.begin_anew(database_url)


def test_a_start_that_was_cut_off_without_a_database_is_none_either(database_url):
    run(database_url, f"DROP DATABASE {MINE}")
    assert not pristine.begin_anew(database_url)
    assert tables(database_url) == []


def test_a_copy_is_of_its_migrations_alone(database_url, monkeypatch):
    pristine.keep(database_url)
    (before,) = kept(database_url)
    load = MigrationLoader.build_graph

    def load_all_but_one(loader):
        load(loader)
        loader.disk_migrations.popitem()

    monkeypatch.setattr(MigrationLoader, "build_graph", load_all_but_one)
    assert not pristine.begin_anew(database_url)
    pristine.keep(database_url)
    (after,) = kept(database_url)
    assert after != before
