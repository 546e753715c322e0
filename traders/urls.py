"""Routes of traders and their events."""

from __future__ import annotations

from django.urls import path

from traders.views import EventLog, TraderEquity, TraderEvents, TraderList

urlpatterns = [
    path("traders", TraderList.as_view(), name="traders"),
    path("traders/<str:trader>/events", TraderEvents.as_view(), name="trader-events"),
    path("api/v1/traders", TraderList.as_view(), name="api-traders"),
    path("api/v1/traders/<str:trader>/equity", TraderEquity.as_view(), name="trader-equity"),
    path("api/v1/events", EventLog.as_view(), name="api-events"),
]
