"""Routes of the WebSocket."""

from __future__ import annotations

from channels.routing import URLRouter

websocket = URLRouter([])
