"""Registers the application with Django."""

from __future__ import annotations

from django.apps import AppConfig


class TradersConfig(AppConfig):
    """See the package's own description."""

    name = "traders"
