"""Routes of the leaderboard, and of what it adds to a trader."""

from __future__ import annotations

from django.urls import path

from leaderboard.views import Leaderboard, LegacyLeaderboard, ScoredTrader, TraderMetrics

urlpatterns = [
    path("leaderboard", LegacyLeaderboard.as_view(), name="leaderboard"),
    path("api/v1/leaderboard", Leaderboard.as_view(), name="api-leaderboard"),
    path("api/v1/traders/<str:trader>", ScoredTrader.as_view(), name="api-trader"),
    path("api/v1/traders/<str:trader>/metrics", TraderMetrics.as_view(), name="trader-metrics"),
]
