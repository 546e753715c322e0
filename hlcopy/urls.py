"""Every route of the product."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from web import login, overview

urlpatterns = [
    path("admin/login/", login.page),
    path("admin/overview/", overview.page, name="overview"),
    path("admin/", admin.site.urls),
    path("", include("web.urls")),
    path("", include("traders.urls")),
    path("", include("leaderboard.urls")),
]
handler400 = "web.errors.bad_request"
handler403 = "web.errors.forbidden"
handler404 = "web.errors.not_found"
handler500 = "web.errors.server_error"
