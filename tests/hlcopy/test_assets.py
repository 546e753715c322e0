"""The browser's libraries come from npm by lock file, once for each lock."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hlcopy import assets

pytestmark = pytest.mark.processes
needs_npm = pytest.mark.skipif(not shutil.which("npm"), reason="no npm on this machine")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder whose lock names one library, which lies beside it."""
    library = tmp_path / "library"
    library.mkdir()
    (library / "package.json").write_text('{"name": "chart", "version": "1.0.0"}')
    names = {"name": "x", "version": "1.0.0"}
    wanted = {"dependencies": {"chart": "file:library"}}
    packages = {
        "": names | wanted,
        "library": {"name": "chart", "version": "1.0.0"},
        "node_modules/chart": {"resolved": "library", "link": True},
    }
    (tmp_path / "package.json").write_text(json.dumps(names | wanted))
    (tmp_path / "package-lock.json").write_text(
        json.dumps(names | {"lockfileVersion": 3, "requires": True, "packages": packages})
    )
    return tmp_path


def test_nothing_is_done_where_no_library_is_named(tmp_path: Path) -> None:
    assert assets.install(tmp_path) is False
    assert list(tmp_path.iterdir()) == []


@needs_npm
def test_libraries_are_installed_once_for_each_lock(checkout: Path) -> None:
    assert assets.install(checkout) is True
    assert (checkout / "node_modules" / "chart" / "package.json").exists()
    assert assets.install(checkout) is False
    lock = checkout / "package-lock.json"
    lock.write_text(lock.read_text() + "\n")
    assert assets.install(checkout) is True


@needs_npm
def test_a_lock_that_cannot_be_followed_is_refused_with_the_reason(checkout: Path) -> None:
    (checkout / "package-lock.json").write_text('{"lockfileVersion": 3, "packages": {}}')
    with pytest.raises(assets.AssetsError, match="cannot be installed"):
        assets.install(checkout)
    assert not (checkout / "node_modules" / ".lock-hash").exists()
