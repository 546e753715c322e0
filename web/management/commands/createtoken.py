"""`manage.py createtoken`: gives a program the right to read and to operate, or takes it back."""

from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError, CommandParser

from web import tokens
from web.models import ApiToken

LONGEST_NAME = 60


class Command(BaseCommand):
    """Prints a new token, once; the one of the same name stops working."""

    help = "Print a new operator token (shown only now), or revoke one."

    def add_arguments(self, parser: CommandParser) -> None:
        """Define the options."""
        parser.add_argument("--name", default="operator", help="whose it is; one lives per name")
        parser.add_argument("--revoke", action="store_true", help="revoke it, make no new one")

    def handle(self, *, name: str, revoke: bool, **_options: object) -> None:
        """Make or revoke; raises CommandError where there is nothing to revoke."""
        if not name.isprintable() or not 1 <= len(name) <= LONGEST_NAME:
            raise CommandError(f"--name: 1 to {LONGEST_NAME} printable characters")
        if not revoke:
            self.stdout.write(tokens.create(name))
            self.stderr.write(f"this is the token {name!r}; it is shown only now")
        elif tokens.revoke(name):
            self.stderr.write(f"the token {name!r} is revoked")
        else:
            living = ApiToken.objects.filter(revoked_at__isnull=True).values_list("name", flat=True)
            raise CommandError(f"no token {name!r}; living: {', '.join(living) or 'none'}")
