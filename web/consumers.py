"""The WebSocket of live updates: a thin shell around the hub."""

from __future__ import annotations

import asyncio

from channels.generic.websocket import AsyncWebsocketConsumer

from hlcopy.clock import utc_now
from web import push
from web.hub import Listener, hub
from web.log import LogAwayError

TRY_AGAIN_LATER, TOO_BIG, POLICY = 1013, 1009, 1008
CLOSE_WITHIN_SECONDS = 10


class UpdatesConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """One browser or API client on `/ws/v1/updates`."""

    async def connect(self) -> None:
        """Accept, then join the hub from where the URL says."""
        self.allowance = push.Allowance()
        self.listener = Listener(self.send, self.abandon)
        await self.accept()
        try:
            await hub().join(self.listener, self.scope["query_string"].decode("latin-1"))
        except LogAwayError as failure:
            await self.send(push.error("database_away", str(failure)))
            await self.close(TRY_AGAIN_LATER)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer one message of the client."""
        if len(bytes_data or (text_data or "").encode()) > push.MAX_MESSAGE_BYTES:
            await self.end(TOO_BIG)
        elif not self.allowance.take(asyncio.get_running_loop().time()):
            await self.end(POLICY)
        else:
            try:
                push.read(text_data or "")
                answer = push.pong(utc_now())
            except push.BadMessageError as refused:
                answer = push.error(refused.code, str(refused))
            await self.send(answer)

    async def end(self, code: int) -> None:
        """Stop the events, then close."""
        hub().leave(self.listener)
        await self.close(code)

    async def disconnect(self, code: int) -> None:
        """Leave the hub."""
        hub().leave(self.listener)

    async def abandon(self, code: int) -> None:
        """Close a socket that takes nothing: politely if it can still hear, else by force."""
        try:
            await asyncio.wait_for(self.close(code), CLOSE_WITHIN_SECONDS)
        except (TimeoutError, OSError):
            self.scope["abort"]()
