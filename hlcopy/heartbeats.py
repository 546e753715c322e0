"""Which processes live: each writes its row every second; an old row is a dead process."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now

from hlcopy.models import Heartbeat

#: So old a row is a process that died, or that cannot reach the database.
ALIVE_SECONDS = 10
FORGET_AFTER = timedelta(hours=1)


_names: dict[int, str] = {}


def process_name() -> str:
    """Return this process' name; a fork has its own."""
    pid = os.getpid()
    # Threads that ask at the same moment must get the same one.
    return _names.setdefault(pid, f"{socket.gethostname()[:50]}:{pid}:{secrets.token_hex(3)}")


def beat(role: Heartbeat.Role, numbers: Mapping[str, int] | None = None) -> None:
    """Say that this process lives, and what it counts."""
    Heartbeat.objects.bulk_create(
        [
            Heartbeat(
                name=process_name(),
                role=role,
                started_at=Now(),
                seen_at=Now(),
                numbers=dict(numbers or {}),
            )
        ],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["seen_at", "numbers"],
    )


def alive() -> QuerySet[Heartbeat]:
    """Return the living processes."""
    return Heartbeat.objects.filter(seen_at__gt=Now() - timedelta(seconds=ALIVE_SECONDS))


def leave() -> None:
    """Say that this process ends."""
    Heartbeat.objects.filter(name=process_name()).update(
        seen_at=Now() - timedelta(seconds=ALIVE_SECONDS)
    )


def forget_dead() -> int:
    """Remove the rows that nobody has written for an hour; return how many."""
    return Heartbeat.objects.filter(seen_at__lt=Now() - FORGET_AFTER).delete()[0]
