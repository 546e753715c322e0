"""The import table of the architecture, indirect imports counted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent


def test_every_package_imports_only_what_it_may():
    # A process of its own: the linter configures logging and would silence our loggers.
    linted = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=CHECKOUT,
        env={"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert linted.returncode == 0, linted.stdout
