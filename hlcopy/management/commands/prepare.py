"""`manage.py prepare`: brings database, browser assets and the first account up to the code."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import cast

import psycopg
import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from exchange.shared_budget import SharedBudget
from hlcopy import assets, pristine
from traders.models import EventHead

STAMP = Path(".cache", "static-tree")  # beside the collected files: they share one checkout


class Command(BaseCommand):
    """Safe to run at every start: each step is skipped when there is nothing to do."""

    help = "Migrate, fetch browser libraries, collect static files, make the first administrator."

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        parser.add_argument(
            "--open-budget",
            action="store_true",
            help="nobody has used the exchange in the last minute: do not wait for it to pass",
        )

        parser.add_argument(
            "--wait",
            action="store_true",
            help="PostgreSQL and Redis are being started: wait for them",
        )
        parser.add_argument(
            "--anew", action="store_true", help="forget everything that is in the database (a demo)"
        )

    def handle(self, **options: object) -> None:
        """Run every step that is due."""
        # A demo that was cut off here may have left no database of ours.
        database = pristine.MAINTENANCE if options["anew"] else None
        if options["wait"]:
            wait_for_servers(self.stdout.write, database=database)
        if options["anew"]:
            self._begin_anew()
        self._migrate()
        self._collect()
        self._make_administrator()
        if options["open_budget"]:
            asyncio.run(open_budget())

    def _begin_anew(self) -> None:
        """Take the database that was kept as migrations leave it, or make and keep one."""
        if not pristine.begin_anew(settings.DATABASE_URL):
            self._migrate()
            # Nobody may be connected while it is copied.
            connection.close()
            cast("DatabaseWrapper", connections[DEFAULT_DB_ALIAS]).close_pool()
            pristine.keep(settings.DATABASE_URL)
        # Another log than the copy's, whose numbers a browser may still hold.
        EventHead._default_manager.update(epoch=uuid.uuid4())

    def _migrate(self) -> None:
        """Apply what is missing."""
        executor = MigrationExecutor(connection)
        due = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if due:
            call_command("migrate", verbosity=0, interactive=False)
            self.stdout.write(f"applied {len(due)} migrations")

    def _collect(self) -> None:
        """Fetch the browser's libraries and collect the static files, if they have changed."""
        try:
            if assets.install(settings.BASE_DIR):
                self.stdout.write("fetched the browser's libraries")
        except assets.AssetsError as failure:
            raise CommandError(str(failure)) from None
        stamp = settings.BASE_DIR / STAMP
        manifest = Path(settings.STATIC_ROOT) / "staticfiles.json"
        now = static_tree()
        if manifest.exists() and stamp.exists() and stamp.read_text() == now:
            return
        call_command("collectstatic", verbosity=0, interactive=False, clear=True)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(now)
        self.stdout.write("collected the static files")

    def _make_administrator(self) -> None:
        """Make `admin` with a random password, shown this once, where there is no superuser."""
        accounts = get_user_model()._default_manager
        if accounts.filter(is_superuser=True).exists():
            return
        password = secrets.token_urlsafe(12)
        get_user_model().objects.create_superuser("admin", password=password)
        self.stdout.write(f"first administrator: admin, password {password} (shown only now)")


def static_tree() -> str:
    """Return a hash that changes when any static file's path, size or time does."""
    seen = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            status = Path(storage.path(path)).stat()
            seen.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return seen.hexdigest()


def wait_for_servers(
    say: Callable[[str], object], patience_seconds: float = 5, database: str | None = None
) -> None:
    """Wait until both servers answer; whoever starts them ends us if they never do.

    One may be somebody's own, and away: it is named whenever patience has run out. `database` is
    asked for in place of the one that the setting names.
    """
    for name, attempt in (
        (
            "PostgreSQL",
            lambda: psycopg.connect(
                settings.DATABASE_URL, dbname=database, connect_timeout=3
            ).close(),
        ),
        (
            "Redis",
            lambda: redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=3).ping(),
        ),
    ):
        said = time.monotonic()
        while True:
            try:
                attempt()
                break
            except (psycopg.OperationalError, redis.RedisError) as failure:
                if time.monotonic() - said >= patience_seconds:
                    said = time.monotonic()
                    say(f"waiting for {name}: {' '.join(str(failure).split())}")
                time.sleep(0.05)


async def open_budget() -> None:
    """Tell the exchange's budget that the last minute, which it has not seen, was idle."""
    configuration = settings.CONFIGURATION
    async with SharedBudget(
        settings.REDIS_URL, per_minute=configuration.hyperliquid_weight_per_minute
    ) as budget:
        await budget.open()
