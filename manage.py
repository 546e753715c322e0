#!/usr/bin/env python
"""The command line of hlcopy: `python manage.py help` lists every command."""

from __future__ import annotations

import os
import sys

from hlcopy.configuration import ConfigurationError


def main() -> int:
    """Run one command; wrong settings are named without a traceback, with exit status 2."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hlcopy.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 (needs settings)

    try:
        execute_from_command_line(sys.argv)
    except ConfigurationError as refused:
        sys.stderr.write(f"{refused}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
