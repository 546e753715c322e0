"""What the soak asks of the product's own web process, over HTTP, as any reader does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx

from bench.soak_market import now_ms
from bench.soak_outages import Outages

#: PostgreSQL is back, and so is every connection to it.
READY_AGAIN_MS = 8_000
Fail = Callable[[str, str, str, str], None]


class Served:
    """Reads the API; while PostgreSQL is away, or has just come back, it may say that it cannot."""

    def __init__(self, url: str, outages: Outages, counts: Counter[str], fail: Fail) -> None:
        """Remember where it is; `fail` is told of each answer that breaks a promise."""
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=30)
        self._outages, self._counts, self._fail = outages, counts, fail

    def positions(self, address: str) -> list[dict[str, Any]]:
        """Return the positions that are shown of a trader; none where nothing may be served."""
        reply = self._get(f"/api/v1/traders/{address}", address)
        return list(reply.json()["positions"]) if reply is not None else []

    def _get(self, path: str, who: str) -> httpx.Response | None:
        begun_ms = now_ms()
        try:
            reply = self._client.get(path)
        except httpx.HTTPError as failure:
            answer = type(failure).__name__
        else:
            if reply.status_code == 200:
                return reply
            answer = str(reply.status_code)
        if self._outages.was_away(begun_ms - READY_AGAIN_MS):
            self._counts[f"API while PostgreSQL was away: {answer}"] += 1
        else:
            self._fail("API", who, "", f"{path} answered {answer}")
        return None
