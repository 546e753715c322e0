"""Routes of the pages and of health."""

from __future__ import annotations

from django.urls import path

from web import monitoring, pages

urlpatterns = [
    path("", pages.root, name="root"),
    path("health", pages.health, name="health"),
    path("health/ready", pages.ready, name="ready"),
    path("api/v1/stats", monitoring.Stats.as_view(), name="stats"),
    path("metrics", monitoring.Metrics.as_view(), name="metrics"),
    path("traders/<str:address>", pages.trader, name="trader-page"),
]
