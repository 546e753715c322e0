"""`manage.py importtraders`: makes traders of the addresses in a file."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from discovery.addresses import read_addresses
from exchange.errors import WireError
from hlcopy.clock import utc_now
from traders.ledgers import KnownTraders
from traders.writing import writing

#: Addresses of one transaction.
BATCH = 10_000


class Command(BaseCommand):
    """Runs to the end of the file; safe to run again."""

    help = "Make traders of addresses: the exchange's leaderboard (JSON), a CSV, or a plain list."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the path."""
        parser.add_argument("path", type=Path, metavar="PATH")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Import, and say what happened."""
        try:
            addresses = read_addresses(options["path"])
        except OSError as failure:
            raise CommandError(f"{failure.filename}: {failure.strerror}") from failure
        except WireError as failure:
            raise CommandError(f"{options['path']}: {failure}") from failure
        new = 0
        known = KnownTraders()
        found = list(addresses.found)
        for begin in range(0, len(found), BATCH):
            seen = [(address, "") for address in found[begin : begin + BATCH]]
            with writing():
                new += known.learn(seen, utc_now())[1]
        for damage in addresses.named:
            self.stderr.write(damage)
        self.stdout.write(
            f"{new:,} new traders, {len(addresses.found) - new:,} known, "
            f"{addresses.repeated:,} repeated, {addresses.damaged:,} damaged"
        )
