"""The WebSocket of live updates: a thin shell around the hub."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from channels.generic.websocket import AsyncWebsocketConsumer

from hlcopy.clock import utc_now
from web import filters, push
from web.hub import hub
from web.listener import Listener
from web.log import LogAwayError
from web.wire import Wire

TRY_AGAIN_LATER, TOO_BIG, POLICY = 1013, 1009, 1008
CLOSE_WITHIN_SECONDS = 10


class UpdatesConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """One browser or API client on `/ws/v1/updates`."""

    channel_layer_alias = None  # notices come through the hub: see `web.wakeups`

    async def connect(self) -> None:
        """Accept, then join the hub from where the URL says."""
        self.allowance = push.Allowance()
        self.wire: Wire = self.scope["wire"]
        self.listener = Listener(self.wire.write, self.force, self.wire.is_gone)
        await self.accept()
        try:
            await hub().join(self.listener, self.scope["query_string"].decode("latin-1"))
        except LogAwayError as failure:
            await self.send(push.error("database_away", str(failure)))
            await self.close(TRY_AGAIN_LATER)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer one message of the client."""
        if len(bytes_data or (text_data or "").encode()) > filters.MAX_MESSAGE_BYTES:
            await self.end(TOO_BIG)
        elif not self.allowance.take(asyncio.get_running_loop().time()):
            await self.end(POLICY)
        else:
            hub().ask(self.listener, self.understood(text_data or ""))

    def understood(self, text: str) -> str | filters.Filter | filters.Resume:
        """Return the answer to a message, or what the hub is to do about it."""
        try:
            message = filters.read(text)
        except filters.BadMessageError as refused:
            return push.error(refused.code, str(refused))
        return push.pong(utc_now()) if isinstance(message, filters.Ping) else message

    async def end(self, code: int) -> None:
        """Stop the events, then close."""
        hub().leave(self.listener)
        await self.close(code)

    async def disconnect(self, code: int) -> None:
        """Leave the hub."""
        hub().leave(self.listener)

    async def force(self, code: int) -> None:
        """Close a socket that takes nothing: politely if it can still hear, else by force."""
        with suppress(OSError, RuntimeError):  # TimeoutError is an OSError
            if not self.wire.is_gone():
                await asyncio.wait_for(self.close(code), CLOSE_WITHIN_SECONDS)
                await asyncio.sleep(CLOSE_WITHIN_SECONDS)
        self.wire.abort()
