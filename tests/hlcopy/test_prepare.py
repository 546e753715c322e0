"""What a start waits for is named."""

from __future__ import annotations

import pytest

from hlcopy.embedded.state import random_port
from hlcopy.management.commands.prepare import wait_for_servers


def hear(text):
    """End the wait."""
    raise InterruptedError(text)


def test_a_database_that_is_away_is_named_without_its_password(settings):
    port = random_port()
    settings.DATABASE_URL = f"postgres://me:secret@127.0.0.1:{port}/none"
    with pytest.raises(
        InterruptedError, match=f"waiting for PostgreSQL: .* port {port} failed"
    ) as said:
        wait_for_servers(hear, patience_seconds=0)
    assert "secret" not in str(said.value)


def test_a_redis_that_is_away_is_named_without_its_password(settings, db):
    port = random_port()
    settings.REDIS_URL = f"redis://:secret@127.0.0.1:{port}/0"
    with pytest.raises(InterruptedError, match=f"waiting for Redis: .*127.0.0.1:{port}") as said:
        wait_for_servers(hear, patience_seconds=0)
    assert "secret" not in str(said.value)
