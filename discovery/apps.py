"""Registers the application with Django."""

from __future__ import annotations

from django.apps import AppConfig


class DiscoveryConfig(AppConfig):
    """See the package's own description."""

    name = "discovery"
