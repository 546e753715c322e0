"""The one shape of every error: `{"error": {"code", "message"}}`."""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler


def handle(raised: Exception, context: dict[str, Any]) -> Response | None:
    """Answer what a view raised, as DRF's EXCEPTION_HANDLER."""
    response = exception_handler(raised, context)
    if response is not None and isinstance(raised, exceptions.APIException):
        response.data = {"error": {"code": str(raised.default_code), "message": str(raised.detail)}}
    return response
