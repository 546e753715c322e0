"""The application that holds what every other shares: job runs and the commands."""

from __future__ import annotations

from django.apps import AppConfig


class HlcopyConfig(AppConfig):
    """Settings, scheduler, supervisor."""

    name = "hlcopy"
