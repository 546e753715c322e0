"""The ASGI application: HTTP to Django, WebSocket to the consumers."""

from __future__ import annotations

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hlcopy.settings")
http = get_asgi_application()  # first: it loads the apps that the next import needs

from web.routing import websocket  # noqa: E402 (see above)
from web.shortcut import Shortcut  # noqa: E402

application = Shortcut(ProtocolTypeRouter({"http": http, "websocket": websocket}))
