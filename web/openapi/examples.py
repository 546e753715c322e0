"""The examples of docs/api.md, by route: one place for people and for programs."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from django.conf import settings

HEADING = re.compile(r"^## (.*)$", re.MULTILINE)
ROUTE = re.compile(r"`(GET|POST) (/[^`]*)`")
EXAMPLE = re.compile(r"^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)


@cache
def examples() -> dict[tuple[str, str], Any]:
    """Return the first example of each section, by method and path; none without the document."""
    document = settings.BASE_DIR / "docs" / "api.md"
    if not document.exists():
        return {}
    _, *parts = HEADING.split(document.read_text())
    found: dict[tuple[str, str], Any] = {}
    for heading, text in zip(parts[::2], parts[1::2], strict=True):
        if example := EXAMPLE.search(text):
            for method, path in ROUTE.findall(heading):
                found[method.lower(), without_names(path)] = json.loads(example[1])
    return found


def without_names(path: str) -> str:
    """Return a path whose parameters have no name: it is written differently in each place."""
    return re.sub(r"{[^}]*}", "{}", path)
