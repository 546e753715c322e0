"""Routes of the WebSocket."""

from __future__ import annotations

from channels.routing import URLRouter
from django.urls import path

from web.consumers import UpdatesConsumer
from web.gate import gate

routes = [path("ws/v1/updates", UpdatesConsumer.as_asgi())]
websocket = gate(URLRouter(routes))
