"""What a browser meets: the fan-out hub, WebSocket consumers, pages, health."""

from __future__ import annotations
