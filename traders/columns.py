"""Columns that many models share."""

from __future__ import annotations

from typing import Any

from django.db import models


def amount(*, null: bool = False, **options: Any) -> models.DecimalField[Any, Any]:
    """Return a column for a size, price or sum of money: exact, as the exchange writes it."""
    return models.DecimalField(
        max_digits=38, decimal_places=18, null=null, blank=null or "default" in options, **options
    )
