"""Routes of traders and their events."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
