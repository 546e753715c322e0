"""Who may read: everybody on this machine's own address, otherwise whoever is logged in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

if TYPE_CHECKING:  # it imports this module by the settings' name
    from rest_framework.views import APIView


class MayRead(BasePermission):
    """Allow reading public data; where the server is open to others, after login only."""

    message = "log in to read this"

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether this request may read; the session is asked only where it matters."""
        return not settings.CONFIGURATION.read_needs_login or request.user.is_authenticated
