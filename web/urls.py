"""Routes of the pages and of health."""

from __future__ import annotations

from django.urls import path

from web import clearing, monitoring, pages
from web.openapi import document

urlpatterns = [
    path("", pages.root, name="root"),
    path("health", pages.health, name="health"),
    path("health/ready", pages.ready, name="ready"),
    path("api/v1/stats", monitoring.Stats.as_view(), name="stats"),
    path("api/v1/cache/clear", clearing.ClearCache.as_view(), name="cache-clear"),
    path("metrics", monitoring.Metrics.as_view(), name="metrics"),
    path("api/schema", document.Document.as_view(), name="schema"),
    path("api/docs", pages.api_docs, name="api-docs"),
    path("traders/<str:address>", pages.trader, name="trader-page"),
]
