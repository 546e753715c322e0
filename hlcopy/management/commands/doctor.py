"""`manage.py doctor`: what to check on first contact with the exchange, and what can be checked."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser

from django.conf import settings
from django.core.management.base import BaseCommand

from hlcopy import doctor

MARKS = {"ok": "ok  ", "warn": "LOOK", "fail": "FAIL"}


class Command(BaseCommand):
    """Exits with status 1 if anything fails."""

    help = "Check this machine and the exchange; list what only a first contact can tell."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Let the user choose how long to listen."""
        parser.add_argument(
            "--seconds", type=float, default=15, help="how long to listen to the feed (15)"
        )

    def handle(self, *_arguments: object, **options: float) -> None:
        """Run every check, print a line for each, then the open questions."""
        self.stdout.write(
            f"exchange: {settings.CONFIGURATION.hyperliquid_api_url}"
            f" and {settings.CONFIGURATION.hyperliquid_ws_url}"
        )
        findings = doctor.machine()
        self._print(findings)
        if all(finding.state != "fail" for finding in findings):
            self.stdout.write(f"asking the exchange, listening for {options['seconds']:.0f} s ...")
            asked = asyncio.run(doctor.exchange(options["seconds"]))
            self._print(asked)
            findings += asked
        self.stdout.write("\nOpen questions that only the real exchange can answer:")
        for number, question in enumerate(doctor.OPEN_QUESTIONS, 1):
            self.stdout.write(f"  {number}. {question}")
        if any(finding.state == "fail" for finding in findings):
            sys.exit(1)

    def _print(self, findings: list[doctor.Finding]) -> None:
        """Write one line for each finding."""
        for finding in findings:
            self.stdout.write(f"{MARKS[finding.state]}  {finding.name:<16} {finding.detail}")
