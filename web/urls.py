"""Routes of the pages and of health."""

from __future__ import annotations

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
