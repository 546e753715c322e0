"""The way of frames to one browser: past ASGI, and many of them in one system call.

What a delivery costs is the kernel's send, whether it carries one frame or a hundred. A server's
frames are the same for every client, so those of an event are made once for all sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Frames:
    """Some text frames, in their order."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Make nothing of them yet."""
        self.texts = texts
        self._wire = b""

    @property
    def wire(self) -> bytes:
        """As a server sends them (RFC 6455, 5.2), made when first asked for."""
        if not self._wire:
            frames = (Frame(Opcode.TEXT, text.encode()) for text in self.texts)
            self._wire = b"".join(frame.serialize(mask=False) for frame in frames)
        return self._wire


class Wire:
    """One connection.

    ASGI takes one frame at a time, encodes it for each socket anew, and can only close politely,
    behind what a stuck client will never read. uvicorn's protocol, whose method `send` is, has what
    can do better; under another server everything goes through ASGI.
    """

    def __init__(self, send: Send) -> None:
        """Look at who serves."""
        protocol = getattr(send, "__self__", None)
        self._send = send
        self._protocol = protocol if isinstance(protocol, WebSocketsSansIOProtocol) else None

    async def write(self, frames: Frames) -> None:
        """Send the frames, waiting while the client takes none; raises OSError once it is gone."""
        protocol = self._protocol
        if protocol is None:
            await self._write_one_by_one(frames)
            return
        await protocol.writable.wait()
        if protocol.disconnected or protocol.conn.state is not OPEN:
            raise ConnectionResetError
        protocol.transport.write(frames.wire)

    async def _write_one_by_one(self, frames: Frames) -> None:
        try:
            for text in frames.texts:
                await self._send({"type": "websocket.send", "text": text})
        except RuntimeError as closing:  # a server's word for "I have begun to close"
            raise ConnectionResetError from closing

    def is_gone(self) -> bool:
        """Return whether the server has begun to close the connection."""
        transport = self._transport
        return transport is not None and transport.is_closing()

    def abort(self) -> None:
        """Drop the connection with what is still unsent, where the server lets us."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def _transport(self) -> asyncio.Transport | None:
        return None if self._protocol is None else self._protocol.transport
