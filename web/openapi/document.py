"""The document put together, and the route that shows it."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from traders.serializers import NoParameters, checked
from web.openapi.examples import examples, without_names
from web.openapi.routes import PARAMETERS, PLAIN_ROUTES
from web.openapi.shapes import ANYTHING, SHAPES, Schema, like, ref

#: Every route may answer these, in the one shape of errors.
REFUSALS = {
    "400": "a parameter is unknown or out of bounds, or the host is foreign",
    "401": "no token and no login, where one is needed",
    "403": "not for this user, or from another site",
    "404": "no such trader or cursor",
    "405": "another method",
    "406": "only JSON is spoken",
    "429": "too many requests; `Retry-After`",
    "503": "the database is away; `Retry-After`",
}
#: Their shape is that of their example: they grow with every part of the product.
SHAPED_BY_EXAMPLE = {"Ready": "/health/ready", "Stats": "/api/v1/stats"}


class Document(APIView):
    """`GET /api/schema`: the OpenAPI document."""

    @extend_schema(summary="This document", description="This document", responses={200: ANYTHING})
    def get(self, request: Request) -> Response:
        """Answer the document, which is the same for everybody."""
        checked(NoParameters, request)
        return Response(document())


@cache
def document() -> Schema:
    """Return the document, made once."""
    made: Schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made


def complete(result: Schema, **_context: Any) -> Schema:
    """Add what no view can tell: shapes, plain routes, refusals, examples (spectacular's hook)."""
    shapes = result.setdefault("components", {}).setdefault("schemas", {})
    shapes |= SHAPES
    for name, path in SHAPED_BY_EXAMPLE.items():
        shapes[name] = like(examples().get(("get", path), {})) | {"type": "object"}
    result["paths"] |= deepcopy(PLAIN_ROUTES)
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            _finish(operation, examples().get((method, without_names(path))))
    return result


def _finish(operation: Schema, example: Any) -> None:
    for parameter in operation.get("parameters", ()):
        parameter["description"] = PARAMETERS[parameter["name"]]
    for content in operation["responses"]["200"].get("content", {}).values():
        if example is not None and "$ref" in content["schema"]:
            content["example"] = example
    refusal = {"application/json": {"schema": ref("Error")}}
    for status, reason in REFUSALS.items():
        operation["responses"].setdefault(status, {"description": reason, "content": refusal})
    # On loopback, and with PUBLIC_READ, reading needs neither token nor login.
    operation["security"] = [*operation.get("security", []), {}]
