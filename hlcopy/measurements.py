"""Numbers that one process measures and another shows: the newest value of each name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models.functions import Now

from hlcopy.models import Measurement


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured, and when by PostgreSQL's clock."""

    values: Mapping[str, Any]
    at: datetime


def store(name: str, values: Mapping[str, object]) -> None:
    """Replace the value of a name."""
    Measurement.objects.bulk_create(
        [Measurement(name=name, measured_at=Now(), values=dict(values))],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["measured_at", "values"],
    )


def newest(*names: str) -> dict[str, Measured]:
    """Return the values of those names that were ever measured."""
    rows = Measurement.objects.filter(name__in=names)
    return {row.name: Measured(row.values, row.measured_at) for row in rows}
