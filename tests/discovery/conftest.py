"""Each test's stream processes run on a machine that has not connected lately."""

from __future__ import annotations

import pytest
import redis
from django.conf import settings


@pytest.fixture(autouse=True)
def rested(request: pytest.FixtureRequest) -> None:
    """Forget the attempts to connect of the tests before."""
    if "transactional_db" in request.fixturenames:
        with redis.Redis.from_url(settings.REDIS_URL) as server:
            server.delete(*(f"{{connections:hyperliquid}}:{key}" for key in ("state", "log")))
