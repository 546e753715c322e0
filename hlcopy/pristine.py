"""A database as the migrations leave it, kept beside a demo's: the next one begins with it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import django
import psycopg
from django.db.migrations.loader import MigrationLoader
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

PREFIX = "pristine_"
#: Every server has it, and nothing of ours is in it.
MAINTENANCE = "postgres"


def begin_anew(database_url: str) -> bool:
    """Replace the database by the copy that was kept; return whether there was one.

    Without one that these very migrations have made the database is empty instead. Nobody else
    may be connected. Raises psycopg.Error.
    """
    name = str(conninfo_to_dict(database_url)["dbname"])
    kept = _kept_name()
    with psycopg.connect(database_url, dbname=MAINTENANCE, autocommit=True) as connection:
        is_there = connection.execute("SELECT FROM pg_database WHERE datname = %s", [kept]).rowcount
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )
        _copy(connection, kept if is_there else "template1", name)
    return is_there == 1


def keep(database_url: str) -> None:
    """Keep a copy of the database for `begin_anew`, in place of all others.

    Nobody may be connected to it. Raises psycopg.Error.
    """
    name = str(conninfo_to_dict(database_url)["dbname"])
    with psycopg.connect(database_url, dbname=MAINTENANCE, autocommit=True) as connection:
        for (old,) in connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX]
        ).fetchall():
            connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(old)))
        _copy(connection, name, _kept_name())


def _copy(connection: psycopg.Connection[tuple[object, ...]], source: str, target: str) -> None:
    """Make a database that is like another one."""
    connection.execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(target), sql.Identifier(source)
        )
    )


def _kept_name() -> str:
    """Return the name of the copy: another one as soon as any migration is another one."""
    seen = hashlib.sha256(django.__version__.encode())
    migrations = MigrationLoader(None).disk_migrations
    for key in sorted(migrations):
        file = sys.modules[type(migrations[key]).__module__].__file__
        seen.update(f"\0{key}\0".encode())
        seen.update(Path(str(file)).read_bytes())
    return PREFIX + seen.hexdigest()[:16]
