"""Who may read, and who may operate: by token, by login, or because only this machine can ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from web import tokens
from web.models import ApiToken
from web.origin import same_origin

if TYPE_CHECKING:  # it imports this module by the settings' name
    from rest_framework.views import APIView

LOG_IN_FIRST = "log in to read this, or send `Authorization: Bearer <token>`"
WRONG_TOKEN = "this token is not known here, or it was revoked"  # noqa: S105 (a sentence)
# A browser says where a request comes from; `none` is the address bar (Fetch Metadata, W3C).
OWN_SITES = {"same-origin", "none"}


@dataclass(frozen=True, slots=True)
class Operator:
    """Whoever shows a living token, as Django's user."""

    name: str
    is_authenticated: bool = True
    is_anonymous: bool = False
    is_active: bool = True


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>`; another scheme is a matter of whoever stands in front."""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken] | None:
        """Return the operator and the token, None without one; raises AuthenticationFailed."""
        token = tokens.shown(request.META.get("HTTP_AUTHORIZATION", ""))
        if token is None:
            return None
        found = tokens.find(token)
        if found is None:
            raise AuthenticationFailed(WRONG_TOKEN)
        return Operator(found.name), found

    def authenticate_header(self, request: Request) -> str:
        """Return what a 401 asks for."""
        return "Bearer"


class MayRead(BasePermission):
    """Allow reading public data; where the server is open to others, after login only."""

    message = LOG_IN_FIRST

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether this request may read; the session is asked only where it matters."""
        return not settings.CONFIGURATION.read_needs_login or request.user.is_authenticated


class MayOperate(BasePermission):
    """Allow what changes something: with a token, or as staff by POST; never from another site.

    A session by POST has passed the check against cross-site requests; by GET it proves nothing.
    """

    message = "send `Authorization: Bearer <token>` (manage.py createtoken), or POST as staff"

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Return whether this request may operate; raises PermissionDenied across sites."""
        headers = request.META
        # Browsers leave the first out where they do not trust the connection (HTTP off loopback).
        if headers.get("HTTP_SEC_FETCH_SITE", "none") not in OWN_SITES or not same_origin(
            headers.get("HTTP_ORIGIN"), headers.get("HTTP_HOST", request.get_host())
        ):
            raise PermissionDenied("a page of another site may not do that")
        if isinstance(request.auth, ApiToken):
            return True
        return request.method == "POST" and bool(getattr(request.user, "is_staff", False))
