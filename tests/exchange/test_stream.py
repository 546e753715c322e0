"""One socket stays subscribed and honest, whatever the server says or does not say."""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.exceptions import InvalidURI

from exchange import wire
from exchange.stream import StreamState
from tests.exchange.feed import (
    BTC,
    ETH,
    SHORT,
    answers,
    exchange,
    frames_of,
    obey,
    reading,
    stream,
    until,
)
from tests.exchange.frames import trade, trades


async def test_it_subscribes_and_marks_the_first_trades_of_each_coin_as_replay():
    async def serve(connection):
        async for raw in connection:
            message = json.loads(raw)
            for frame in answers(message):
                await connection.send(frame)
            await connection.send(trades(trade(coin=message["subscription"]["coin"], tid=2)))

    async with exchange(serve) as url, reading(socket := stream(url, BTC, ETH)) as got:
        await until(lambda: len(frames_of(got, wire.TradesFrame)) == 4)
    assert [
        (r.frame.coin, r.frame.trades[0].tid, r.replay) for r in frames_of(got, wire.TradesFrame)
    ] == [
        ("BTC", 1, True),
        ("BTC", 2, False),
        ("ETH", 1, True),
        ("ETH", 2, False),
    ]
    assert socket.counts.connects == 1


async def test_its_state_tells_what_is_live():
    states: list[StreamState] = []
    async with exchange(obey) as url, reading(stream(url, BTC, ETH, on_state=states.append)):
        await until(lambda: states and states[-1].live == {BTC, ETH})
        assert states[0].connected
        assert states[0].live == frozenset()
    assert not states[-1].connected
    assert states[-1].live == frozenset()


async def test_it_survives_a_banner_garbage_and_unknown_channels():
    async def serve(connection):
        await connection.send("Websocket connection established.")
        await connection.send("<html>")
        await connection.send(b"\x00\xff")
        await connection.send('{"channel":"trades","data":[{}]}')
        await connection.send('{"channel":"news","data":1}')
        await connection.send('{"channel":"error","data":"Cannot track more than 10 total users."}')
        await obey(connection)

    async with exchange(serve) as url, reading(socket := stream(url)) as got:
        await until(lambda: socket.state.live)
    assert isinstance(got[0].frame, wire.Banner)
    assert socket.counts.bad_frames == 2
    assert socket.counts.bad_trades == 1
    assert socket.counts.unknown_channels == {"news": 1}
    assert socket.counts.errors == 1
    assert socket.counts.connects == 1
    assert socket.state.last_error.startswith("Cannot track")


async def test_it_pings_when_quiet_and_a_pong_keeps_the_socket():
    pings = []

    async def serve(connection):
        async for raw in connection:
            message = json.loads(raw)
            pings.extend([1] if message["method"] == "ping" else [])
            for frame in answers(message):
                await connection.send(frame)

    async with exchange(serve) as url, reading(socket := stream(url, patience=SHORT)):
        await until(lambda: len(pings) >= 8)
    assert socket.counts.connects == 1


async def test_it_leaves_a_socket_that_accepts_and_stays_silent():
    opened = []

    async def serve(connection):
        opened.append(connection)
        await connection.wait_closed()

    async with exchange(serve) as url:
        async with reading(socket := stream(url, patience=SHORT)):
            await until(lambda: len(opened) >= 2)
        assert socket.state.last_error.startswith("silent for")


async def test_a_slow_reader_is_not_mistaken_for_a_silent_socket():
    async def serve(connection):
        await connection.send('{"channel":"pong"}')
        await obey(connection)

    async with exchange(serve) as url, stream(url, patience=SHORT) as socket:
        frames = aiter(socket)
        await anext(frames)
        slow_until = asyncio.get_running_loop().time() + 2 * SHORT.reconnect_after
        await until(lambda: asyncio.get_running_loop().time() > slow_until)
        await anext(frames)
        assert socket.counts.connects == 1


async def test_it_subscribes_again_to_a_liquid_coin_that_falls_silent():
    asked = []

    async def serve(connection):
        async def flow():
            for tid in range(10_000):
                await connection.send(trades(trade(coin="ETH", tid=tid)))
                await asyncio.sleep(0.005)

        task = asyncio.create_task(flow())
        try:
            async for raw in connection:
                message = json.loads(raw)
                asked.append((message["method"], message.get("subscription", {}).get("coin")))
                for frame in answers(message):
                    await connection.send(frame)
        finally:
            task.cancel()

    async with (
        exchange(serve) as url,
        reading(socket := stream(url, BTC, ETH, patience=SHORT)) as got,
    ):
        await until(lambda: asked.count(("subscribe", "BTC")) == 2)
        await until(lambda: sum(r.replay for r in got) == 3)
    assert asked.count(("unsubscribe", "BTC")) == 1
    assert asked.count(("subscribe", "ETH")) == 1
    assert socket.counts.connects == 1


async def test_wishes_change_on_the_living_socket():
    async with exchange(obey) as url, reading(socket := stream(url, BTC)):
        await until(lambda: socket.state.live == {BTC})
        await socket.want([ETH])
        await until(lambda: socket.state.live == {ETH})
        assert socket.counts.connects == 1


async def test_an_invalid_subscription_is_refused_with_its_reason_and_costs_no_other():
    async def serve(connection):
        async for raw in connection:
            message = json.loads(raw)
            if message["subscription"]["coin"] == "ETH":
                text = "Invalid subscription " + json.dumps(message["subscription"])
                await connection.send(json.dumps({"channel": "error", "data": text}))
            else:
                for frame in answers(message):
                    await connection.send(frame)

    async with exchange(serve) as url, reading(socket := stream(url, BTC, ETH)):
        await until(lambda: socket.state.live == {BTC} and ETH in socket.state.refused)
        assert socket.state.refused[ETH].startswith("Invalid subscription")


async def test_it_stops_whenever_it_is_told_to():
    """While connecting, reading, losing a connection or waiting: no cancellation is swallowed."""

    async def serve(connection):
        await connection.close()

    async with exchange(serve) as url:
        for turns in range(60):
            async with asyncio.timeout(2), reading(stream(url)):
                for _ in range(turns):
                    await asyncio.sleep(0)


def test_a_wrong_url_is_refused_at_once():
    with pytest.raises(InvalidURI):
        stream("https://api.hyperliquid.xyz/ws")
