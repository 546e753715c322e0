"""The routes of the numbers."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from traders.serializers import NoParameters, checked
from web import metrics, stats, watching


class Stats(APIView):
    """`GET /api/v1/stats`: how everything is."""

    def get(self, request: Request) -> Response:
        """Answer the numbers."""
        checked(NoParameters, request)
        return Response(numbers(), headers={"Cache-Control": "no-store"})


class WhateverAccepted(BaseContentNegotiation):
    """Prometheus asks for formats of which this is one; there is no other answer."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Return the first."""
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        """Return the first, which errors are rendered with."""
        return renderers[0], renderers[0].media_type


class Metrics(APIView):
    """`GET /metrics`: the same for Prometheus."""

    content_negotiation_class = WhateverAccepted

    def get(self, request: Request) -> HttpResponse:
        """Answer the numbers as text."""
        checked(NoParameters, request)
        return HttpResponse(
            metrics.exposition(numbers()),
            content_type=CONTENT_TYPE_LATEST,
            headers={"Cache-Control": "no-store"},
        )


def numbers() -> dict[str, Any]:
    """Return every number, and watch where no worker does."""
    watching.watch_if_late()
    return stats.read()
