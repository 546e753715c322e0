"""The one shape of every error: `{"error": {"code", "message"}}`."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

RETRY_AFTER_SECONDS = "5"
DATABASE_AWAY = "database_away", "the database does not answer; try again in a few seconds"


def body(code: str, message: str) -> bytes:
    """Return an error as JSON."""
    return msgspec.json.encode({"error": {"code": code, "message": message}})


def answer(status: int, code: str, message: str) -> HttpResponse:
    """Return an error outside DRF."""
    response = HttpResponse(body(code, message), status=status, content_type="application/json")
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if status == 503:
        response["Retry-After"] = RETRY_AFTER_SECONDS
    return response


def throttled(seconds: int) -> HttpResponse:
    """Return the answer to a client that asks too often."""
    response = answer(429, "throttled", f"too many requests; try again in {seconds} seconds")
    response["Retry-After"] = str(seconds)
    return response


def handle(raised: Exception, context: dict[str, Any]) -> Response | None:
    """Answer what a view raised, as DRF's EXCEPTION_HANDLER; None leaves it to Django."""
    if isinstance(raised, OperationalError | InterfaceError):
        code, message = DATABASE_AWAY
        response = Response(status=503, headers={"Retry-After": RETRY_AFTER_SECONDS})
        response.data = {"error": {"code": code, "message": message}}
        return response
    if isinstance(raised, Http404):
        raised = exceptions.NotFound(str(raised) or None)
    response_or_none = exception_handler(raised, context)
    if response_or_none is not None and isinstance(raised, exceptions.APIException):
        response_or_none.data = {
            "error": {"code": code_of(raised), "message": sentence(raised.detail)}
        }
    return response_or_none


def code_of(raised: exceptions.APIException) -> str:
    """Return the machine's word for the error."""
    codes = raised.get_codes()
    return codes if isinstance(codes, str) else raised.default_code


def sentence(detail: Any) -> str:
    """Return DRF's nested details as one line: `limit: A valid integer is required.`"""
    if isinstance(detail, dict):
        parts = [
            sentence(value) if name == "non_field_errors" else f"{name}: {sentence(value)}"
            for name, value in detail.items()
        ]
        return "; ".join(parts)
    if isinstance(detail, list):
        return " ".join(sentence(part) for part in detail)
    return str(detail)


def bad_request(_request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django itself refuses, such as an unknown Host: handler400."""
    return answer(400, "bad_request", "the request is not acceptable")


def forbidden(_request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what the user may not do: handler403."""
    return answer(403, "permission_denied", "you may not do that")


def foreign_form(_request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that was not made here: CSRF_FAILURE_VIEW."""
    return answer(403, "permission_denied", f"the form does not come from here: {reason}")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a path that leads nowhere: handler404."""
    return answer(404, "not_found", f"there is nothing at {request.path}")


def server_error(_request: HttpRequest) -> HttpResponse:
    """Answer what nobody foresaw: handler500; the traceback is in the server's log alone."""
    if isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        return answer(503, *DATABASE_AWAY)
    return answer(500, "server_error", "something went wrong here; the server's log has it")
