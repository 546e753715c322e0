"""A real browser before a real server; skipped where there is no Chromium, and says so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from playwright.sync_api import Browser, Page, sync_playwright

from tests.web.conftest import book, door, server

__all__ = ["book", "door", "server"]
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
OPTIONS += ["--disable-component-update", "--disable-sync"]


def chromium() -> str | None:
    """Return the path of the system's Chromium."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """Start Chromium."""
    path = chromium()
    if path is None:
        assert not os.environ.get("CI"), "no Chromium in CI: .ci/run should have installed it"
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    # Playwright's synchronous interface has a loop of its own in this thread.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()
        connections.close_all()  # those that this thread has while a loop runs in it


class Visit:
    """A tab, with everything that it complained about."""

    def __init__(self, browser: Browser, **context: Any) -> None:
        """Open a tab."""
        self.complaints: list[str] = []
        self.page: Page = browser.new_context(**context).new_page()
        self.page.on("console", lambda said: self._hear(said.type, said.text))
        self.page.on("pageerror", lambda failure: self._hear("error", str(failure)))

    def _hear(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)

    def event_ids(self) -> list[int]:
        """Return the numbers of the events that the page shows, newest first."""
        script = "items => items.map(item => Number(item.dataset.id))"
        ids: list[int] = self.page.eval_on_selector_all(".event", script)
        return ids

    def shot(self, name: str) -> None:
        """Keep a picture of the whole page where HLCOPY_SCREENSHOTS says, if it does."""
        if folder := os.environ.get("HLCOPY_SCREENSHOTS"):
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
