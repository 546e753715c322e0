"""The import table of the architecture, indirect imports counted."""

from __future__ import annotations

from pathlib import Path

from importlinter.cli import lint_imports

CHECKOUT = Path(__file__).parent.parent


def test_every_package_imports_only_what_it_may():
    assert lint_imports(config_filename=str(CHECKOUT / ".importlinter"), no_cache=True) == 0
