"""Frames on their way to one browser: one by one through ASGI, or all at once on the wire."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from web.wire import Frames, Wire


@given(st.lists(st.text(max_size=70), max_size=9), st.sampled_from([1, 125, 126, 2000]))
def test_a_client_reads_from_the_wire_the_texts_that_were_written(texts, times):
    texts = [text * times for text in texts]
    client = ClientProtocol(parse_uri("ws://127.0.0.1/"), state=OPEN, max_size=None)

    client.receive_data(Frames(texts).wire)

    frames = [one for one in client.events_received() if isinstance(one, Frame)]
    assert [bytes(frame.data).decode() for frame in frames] == texts


async def test_another_server_is_given_one_frame_after_the_other():
    sent = []

    async def send(message):
        sent.append(message)

    wire = Wire(send)
    await wire.write(Frames(["one", "two"]))
    wire.abort()

    assert sent == [{"type": "websocket.send", "text": text} for text in ("one", "two")]
    assert not wire.is_gone()


async def test_a_server_that_has_begun_to_close_is_a_connection_that_is_lost():
    async def send(message):
        raise RuntimeError("websocket.close was sent")

    with pytest.raises(ConnectionResetError):
        await Wire(send).write(Frames(["one"]))


def test_the_protocol_that_uvicorn_chooses_is_the_one_that_is_spoken_to_directly():
    """Else every delivery would cost twice as much, and nobody would know."""
    assert AutoWebSocketsProtocol is WebSocketsSansIOProtocol
    assert "--ws " not in Path("Procfile").read_text()
