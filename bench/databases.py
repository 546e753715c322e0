"""The one database of the run, put back between benchmarks: none finds what another has left."""

from __future__ import annotations

import os

import psycopg
import redis
from django.db import connection, connections


def keep(name: str) -> None:
    """Remember the database as it is now."""
    _copy(connection.settings_dict["NAME"], name)


def put_back(name: str) -> None:
    """Make the database as it was kept, and Redis empty."""
    _copy(name, connection.settings_dict["NAME"])
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        client.flushall()


def _copy(source: str, copy: str) -> None:
    """Replace a database by a copy of another; the files are copied, not written to the log."""
    connections.close_all()  # a database that is used cannot be copied
    connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's alone
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, dbname="postgres", autocommit=True) as session:
        session.execute(f'DROP DATABASE IF EXISTS "{copy}" WITH (FORCE)')
        session.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{source}" STRATEGY file_copy')
