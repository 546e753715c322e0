"""The login page of the admin, where passwords can be tried five times a minute."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import render

from web import limits


def page(request: HttpRequest) -> HttpResponseBase:
    """Show the form; count each attempt, right or wrong, and refuse what cannot be counted."""
    if request.method == "POST":
        try:
            seconds = _wait_seconds(request)
        except limits.UncountedError:
            return _refused(request, 503, limits.WINDOW_SECONDS)
        if seconds:
            return _refused(request, 429, seconds)
    return admin.site.login(request)


def _wait_seconds(request: HttpRequest) -> int:
    """Count the attempt for its address, and for address and name; raises UncountedError."""
    address = limits.address_of(request)
    name = request.POST.get("username", "").strip().lower()
    return max(
        limits.wait_seconds("login", limits.LOGINS, address, name),
        limits.wait_seconds("logins", limits.LOGINS_OF_ADDRESS, address),
    )


def _refused(request: HttpRequest, status: int, seconds: int) -> HttpResponseBase:
    values = {"seconds": seconds, "counted": status == 429}
    response = render(request, "web/login_refused.html", values, status=status)
    response["Retry-After"] = str(seconds)
    return response
