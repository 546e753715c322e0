"""A connection that is lost, or never made, is made again, and not too fast."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
from websockets.exceptions import ConnectionClosed

from exchange import wire
from exchange.liveness import Patience
from exchange.stream import MAX_FRAME_BYTES
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


async def test_it_comes_back_after_a_normal_close_and_marks_the_replay_again():
    async def serve(connection):
        for frame in answers(json.loads(await connection.recv())):
            await connection.send(frame)
        await connection.close(1000)

    async with exchange(serve) as url, reading(socket := stream(url)) as got:
        await until(lambda: len(frames_of(got, wire.TradesFrame)) >= 3)
    assert all(received.replay for received in frames_of(got, wire.TradesFrame))
    assert socket.counts.reconnects >= 2


async def _close_1011(connection):
    await connection.close(1011)


async def _reset(connection):
    connection.transport.abort()


async def _too_large(connection):
    await connection.send("x" * (MAX_FRAME_BYTES + 1))


async def _cut_in_a_frame(connection):
    connection.transport.write(b"\x81\x7e\x01\x00half a frame")
    connection.transport.close()


async def _break_the_protocol(connection):
    connection.transport.write(b"\xff\x00")
    await connection.wait_closed()


@pytest.mark.parametrize(
    "lose", [_close_1011, _reset, _too_large, _cut_in_a_frame, _break_the_protocol]
)
async def test_it_comes_back_however_the_connection_is_lost(lose):
    lost: list[int] = []

    async def serve(connection):
        if len(lost) < 2:
            lost.append(1)
            await lose(connection)
        else:
            await obey(connection)

    async with exchange(serve) as url, reading(socket := stream(url)):
        await until(lambda: socket.state.live == {BTC})
    assert socket.counts.reconnects == 2


async def test_it_knocks_again_when_the_handshake_is_refused():
    knocks: list[int] = []

    def refuse(connection, _request):
        knocks.append(1)
        return connection.respond(429, "slow down") if len(knocks) < 3 else None

    async with exchange(obey, process_request=refuse) as url, reading(socket := stream(url)):
        await until(lambda: socket.state.live == {BTC})
    assert "429" in socket.state.last_error
    assert socket.counts.connects == 1


async def test_an_exchange_that_stays_away_is_logged_once(caplog):
    knocks: list[int] = []

    def refuse(connection, _request):
        knocks.append(1)
        return connection.respond(502, "away")

    async with exchange(obey, process_request=refuse) as url, reading(stream(url)):
        await until(lambda: len(knocks) >= 4)
    told = [record for record in caplog.records if "lost:" in record.getMessage()]
    assert [record.levelname for record in told] == ["WARNING"]


async def test_back_off_grows_over_connects_that_die_young_and_starts_anew_after_health():
    """A server that accepts and closes at once must not be hammered."""
    taken: list[int] = []

    def delays():
        taken.append(0)
        while True:
            taken[-1] += 1
            yield 0.0

    async def serve(connection):
        if taken[0] >= 5 and len(taken) == 1:
            lives_until = asyncio.get_running_loop().time() + 2 * SHORT.healthy_after
            await until(lambda: asyncio.get_running_loop().time() > lives_until)
            await connection.send('{"channel":"pong"}')

    async with exchange(serve) as url, reading(stream(url, delays=delays, patience=SHORT)):
        await until(lambda: taken and taken[0] >= 4)
        assert len(taken) == 1
        await until(lambda: len(taken) == 2)


async def test_each_connection_waits_for_its_permit():
    permits = []

    async def permit():
        permits.append(1)

    async def serve(connection):
        await connection.close()

    async with exchange(serve) as url, reading(socket := stream(url, permit=permit)):
        await until(lambda: socket.counts.connects >= 3)
    assert len(permits) >= socket.counts.connects


async def test_an_attempt_works_when_something_is_acknowledged():
    told: list[bool] = []
    async with exchange(obey) as url, reading(stream(url, BTC, ETH, on_attempt=told.append)) as got:
        await until(lambda: len(frames_of(got, wire.Ack)) == 2)
    assert told == [True]


@pytest.mark.parametrize("lose", [_close_1011, _reset])
async def test_a_connection_that_is_closed_at_once_has_not_worked(lose):
    told: list[bool] = []
    async with exchange(lose) as url, reading(stream(url, on_attempt=told.append)):
        await until(lambda: len(told) >= 3)
    assert not any(told)


async def test_a_refused_handshake_has_not_worked_and_the_next_may():
    told: list[bool] = []

    def refuse(connection, _request):
        return connection.respond(502, "away") if len(told) < 2 else None

    async with (
        exchange(obey, process_request=refuse) as url,
        reading(stream(url, on_attempt=told.append)),
    ):
        await until(lambda: len(told) == 3)
    assert told == [False, False, True]


async def test_the_loss_of_a_connection_that_worked_is_no_failed_attempt():
    told: list[bool] = []

    async def serve(connection):
        for frame in answers(json.loads(await connection.recv())):
            await connection.send(frame)
        await connection.close(1000)

    async with exchange(serve) as url, reading(stream(url, on_attempt=told.append)):
        await until(lambda: len(told) >= 3)
    assert all(told)


async def test_it_keeps_trying_while_nobody_listens():
    async with exchange(obey) as url:
        pass
    async with reading(socket := stream(url)):
        await until(
            lambda: "OSError" in socket.state.last_error or "Connect" in socket.state.last_error
        )
    assert not socket.state.connected


async def test_who_answers_late_is_left_because_more_may_be_missing():
    pings = 0

    async def serve(connection):
        nonlocal pings
        for frame in answers(json.loads(await connection.recv())):
            await connection.send(frame)
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:  # the ping, to which nothing is said for a while
                pings += "ping" in str(message)
                await asyncio.sleep(0.06)
                await connection.send('{"channel":"pong"}')

    patience = Patience(ping_after=0.05, answer_within=0.04, reconnect_after=30)
    async with exchange(serve) as url, reading(socket := stream(url, patience=patience)) as got:
        await until(lambda: socket.counts.connects >= 2)
    assert pings
    assert "answers again" in socket.state.last_error
    assert all(received.replay for received in frames_of(got, wire.TradesFrame))
