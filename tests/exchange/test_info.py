"""Every attempt is paid for, every failure is one of our errors, every reply is bounded."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

import httpx
import msgspec
import pytest

from exchange import info
from exchange.errors import RateLimited, RequestRefused, TransportError, WireError
from exchange.info import InfoClient
from tests.exchange.feed import until
from tests.exchange.frames import SELLER, account, position

URL = "http://exchange.test"


class Permit(msgspec.Struct):
    weight: int
    is_fresh: bool = True


@dataclass
class Purse:
    """A budget that always has room, and remembers."""

    stale: int = 0
    reserved: list[int] = field(default_factory=list)
    settled: list[tuple[int, int]] = field(default_factory=list)
    pauses: list[float | None] = field(default_factory=list)

    async def reserve(self, weight: int) -> Permit:
        self.reserved.append(weight)
        self.stale -= 1
        return Permit(weight, is_fresh=self.stale < 0)

    async def settle(self, permit: Permit, actual_weight: int) -> None:
        self.settled.append((permit.weight, actual_weight))

    async def pause(self, seconds: float | None) -> float:
        self.pauses.append(seconds)
        return 10 if seconds is None else seconds


@pytest.fixture
def purse():
    return Purse()


def client(purse, handler, **options):
    return InfoClient(URL, budget=purse, transport=httpx.MockTransport(handler), **options)


async def ask(purse, *answers):
    """Ask for the exchange's status; ``answers`` are responses or errors, one per attempt."""
    left = list(answers)

    def handler(_request):
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with client(purse, handler) as exchange:
        return await exchange.exchange_status()


OK = {"time": 1790000000000, "specialStatuses": None}


async def test_it_asks_and_decodes(purse):
    asked = []

    def handler(request):
        asked.append((request.method, request.url.path, json.loads(request.content)))
        return httpx.Response(200, content=account(position()))

    async with client(purse, handler) as exchange:
        main = await exchange.clearinghouse_state(SELLER)
        await exchange.clearinghouse_state(SELLER, dex="xyz")
    assert main.positions[0].coin == "BTC"
    body = {"type": "clearinghouseState", "user": SELLER}
    assert asked == [("POST", "/info", body), ("POST", "/info", body | {"dex": "xyz"})]
    assert purse.settled == [(2, 2), (2, 2)]


async def test_every_request_has_its_weight(purse):
    replies = {
        "meta": {"universe": []},
        "perpDexs": [None],
        "spotClearinghouseState": {"balances": []},
        "userAbstraction": "default",
        "exchangeStatus": OK,
        "portfolio": [],
        "allMids": {"BTC": "1.5"},
    }
    types = []

    def handler(request):
        types.append(json.loads(request.content)["type"])
        return httpx.Response(200, json=replies[types[-1]])

    async with client(purse, handler) as exchange:
        assert await exchange.meta("xyz") == ()
        assert await exchange.perp_dexs() == ("",)
        assert (await exchange.spot_clearinghouse_state(SELLER)).usdc_total == 0
        assert await exchange.user_abstraction(SELLER) == "default"
        assert (await exchange.exchange_status()).special_statuses is None
        assert await exchange.portfolio(SELLER) == {}
        assert len(await exchange.all_mids()) == 1
    assert dict(zip(types, purse.reserved, strict=True)) == {
        "meta": 20,
        "perpDexs": 20,
        "spotClearinghouseState": 2,
        "userAbstraction": 20,
        "exchangeStatus": 2,
        "portfolio": 20,
        "allMids": 2,
    }


async def test_a_permit_that_waited_too_long_is_given_back_and_taken_anew(purse):
    purse.stale = 2
    await ask(purse, httpx.Response(200, json=OK))
    assert purse.settled == [(2, 0), (2, 0), (2, 2)]


@pytest.mark.parametrize(
    "error", [httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError], ids=repr
)
async def test_a_connection_that_breaks_is_tried_once_more_and_paid_again(purse, error):
    await ask(purse, error("reset"), httpx.Response(200, json=OK))
    assert purse.settled == [(2, 2), (2, 2)]
    with pytest.raises(TransportError, match="reset"):
        await ask(purse, error("reset"), error("reset"))
    assert purse.reserved == [2] * 4


UNUSABLE = {
    "refused": httpx.ConnectError("refused"),
    "slow": httpx.ReadTimeout("slow"),
    "busy": httpx.PoolTimeout("busy"),
    "500 null": httpx.Response(500, content=b"null"),
    "502 HTML": httpx.Response(502, html="<html>Bad gateway</html>"),
    "redirect": httpx.Response(302, headers={"Location": "http://169.254.169.254/"}),
    "200 HTML": httpx.Response(200, html="<html>Please log in</html>"),
    "empty": httpx.Response(200, content=b""),
    "cut": httpx.Response(200, content=b'{"time":179'),
    "deep": httpx.Response(200, content=b"[" * 100_000),
    "large": httpx.Response(200, content=b"x" * (info.MAX_REPLY_BYTES + 1)),
    "packed": httpx.Response(
        200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"x")
    ),
}


@pytest.mark.parametrize("answer", UNUSABLE.values(), ids=UNUSABLE)
async def test_no_usable_reply_is_a_transport_error_after_one_attempt(purse, answer):
    with pytest.raises(TransportError):
        await ask(purse, answer)
    assert purse.settled == [(2, 2)]


async def test_429_pauses_everybody(purse):
    with pytest.raises(RateLimited) as refused:
        await ask(purse, httpx.Response(429, content=b"null"))
    assert refused.value.retry_after_seconds == 10
    with pytest.raises(RateLimited) as refused:
        await ask(purse, httpx.Response(429, headers={"Retry-After": "33"}))
    assert refused.value.retry_after_seconds == 33
    with pytest.raises(RateLimited):
        await ask(purse, httpx.Response(429, headers={"Retry-After": "Fri, 20 Nov 2026"}))
    assert purse.pauses == [None, 33, None]
    assert purse.reserved == [2, 2, 2]


async def test_a_wrong_request_is_refused_for_good(purse):
    text = "Failed to deserialize the JSON body into the target type"
    with pytest.raises(RequestRefused, match=text) as refused:
        await ask(purse, httpx.Response(422, text=text))
    assert refused.value.status == 422


@pytest.mark.parametrize("reply", [None, [], {}, {"time": "soon"}, {"time": 5}], ids=repr)
async def test_json_of_another_shape_is_a_wire_error(purse, reply):
    with pytest.raises(WireError):
        await ask(purse, httpx.Response(200, content=json.dumps(reply)))


async def test_nothing_is_reserved_while_all_connections_are_busy(purse):
    free = asyncio.Event()

    async def handler(_request):
        await free.wait()
        return httpx.Response(200, json=OK)

    async with client(purse, handler) as exchange:
        asking = [
            asyncio.create_task(exchange.exchange_status())
            for _ in range(info.MAX_CONNECTIONS + 10)
        ]
        await until(lambda: len(purse.reserved) >= info.MAX_CONNECTIONS)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(purse.reserved) == info.MAX_CONNECTIONS
        free.set()
        await asyncio.gather(*asking)
    assert len(purse.reserved) == info.MAX_CONNECTIONS + 10


@contextlib.asynccontextmanager
async def server(handler):
    """A real loopback server: ``handler(reader, writer)`` plays HTTP by hand.

    It ends when it has served somebody, and everybody: a connection may be accepted long after its
    client has left.
    """
    served, serving = [], set()

    async def serve(reader, writer):
        served.append(writer)
        serving.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        serving.discard(writer)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        await until(lambda: served and not serving)


async def read_request(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    [length] = [line[15:] for line in head.lower().split(b"\r\n") if b"content-length" in line]
    return await reader.readexactly(int(length))


async def test_it_survives_a_keep_alive_connection_that_the_server_closed(purse, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    body = json.dumps(OK).encode()

    async def handler(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await read_request(reader)

    async with server(handler) as url, InfoClient(url, budget=purse) as exchange:
        await exchange.exchange_status()
        await exchange.exchange_status()
    assert purse.reserved == [2, 2, 2]


async def test_a_reply_that_trickles_is_cut(purse):
    async def handler(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.005)

    async with (
        server(handler) as url,
        InfoClient(url, budget=purse, attempt_seconds=0.1) as exchange,
    ):
        with pytest.raises(TransportError, match="Timeout"):
            await exchange.exchange_status()
    assert purse.settled == [(2, 2)]
