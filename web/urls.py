"""Routes of the pages and of health."""

from __future__ import annotations

from django.urls import path

from web import pages

urlpatterns = [
    path("", pages.root, name="root"),
    path("health", pages.health, name="health"),
    path("health/ready", pages.ready, name="ready"),
    path("traders/<str:address>", pages.trader, name="trader-page"),
]
