"""Asks the exchange's ``/info``: every attempt paid for before it is sent, every reply bounded.

::

    async with InfoClient("https://api.hyperliquid.xyz", budget=budget) as info:
        state = await info.clearinghouse_state("0x...")
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Protocol, Self, TypeVar

import httpx
import msgspec

from exchange import replies, weights
from exchange.endpoint import is_loopback
from exchange.errors import RateLimited, RequestRefused, TransportError
from exchange.numbers import printable

T = TypeVar("T")

#: Larger replies are not read to their end; the largest real ones that we ask for are near 1 MB.
MAX_REPLY_BYTES = 8 * 1024 * 1024
#: A whole attempt, connection to last byte: a reply that trickles is cut here. The shared budget
#: holds an unanswered reservation for as long (`Rules.hold_ms`).
ATTEMPT_SECONDS = 15
TIMEOUTS = httpx.Timeout(10, connect=3, pool=3)
#: More requests at once than this wait for a connection before they reserve: a reservation that
#: waited would be paid for and not sent.
MAX_CONNECTIONS = 128


class Permit(Protocol):
    """A reservation of weight, good for one attempt."""

    @property
    def is_fresh(self) -> bool:
        """False when it has waited too long to be used."""


P = TypeVar("P", bound=Permit)


class Budget(Protocol[P]):
    """Where weight is reserved: ``exchange.shared_budget.SharedBudget``."""

    async def reserve(self, weight: int) -> P:
        """Wait until there is room."""

    async def settle(self, permit: P, actual_weight: int) -> None:
        """The attempt is over and cost this much."""

    async def pause(self, seconds: float | None) -> float:
        """The exchange said 429: nobody sends for a while; returns how long."""


class InfoClient:
    """One client per event loop; safe for concurrent calls.

    Every method raises ``TransportError`` (ask later), ``RateLimited`` (everybody waits),
    ``RequestRefused`` (never ask again) or ``WireError`` (the reply is not what it should be).
    """

    def __init__(
        self,
        base_url: str,
        *,
        budget: Budget[P],
        transport: httpx.AsyncBaseTransport | None = None,
        timeouts: httpx.Timeout = TIMEOUTS,
        attempt_seconds: float = ATTEMPT_SECONDS,
    ) -> None:
        self._budget = budget
        self._attempt_seconds = attempt_seconds
        self._free_connections = asyncio.Semaphore(MAX_CONNECTIONS)
        self._client = httpx.AsyncClient(
            base_url=base_url,
            transport=transport,
            timeout=timeouts,
            follow_redirects=False,
            trust_env=not is_loopback(base_url),
            # Uncompressed, so that the size cap holds for what is kept in memory too.
            headers={"Accept-Encoding": "identity", "User-Agent": "hlcopy"},
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, keepalive_expiry=60),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def clearinghouse_state(self, address: str, dex: str = "") -> replies.AccountState:
        """Positions and margin of an account on one dex (weight 2)."""
        return await self._ask(
            replies.decode_clearinghouse_state, type="clearinghouseState", user=address, dex=dex
        )

    async def spot_clearinghouse_state(self, address: str) -> replies.SpotState:
        """The USDC of an account's spot side (weight 2)."""
        return await self._ask(
            replies.decode_spot_clearinghouse_state, type="spotClearinghouseState", user=address
        )

    async def user_abstraction(self, address: str) -> str | None:
        """Whether an account is unified, see ``replies.decode_user_abstraction`` (weight 20)."""
        return await self._ask(
            replies.decode_user_abstraction, type="userAbstraction", user=address
        )

    async def portfolio(self, address: str) -> dict[str, replies.PortfolioWindow]:
        """Sampled account value, PnL and volume by window (weight 20)."""
        return await self._ask(replies.decode_portfolio, type="portfolio", user=address)

    async def meta(self, dex: str = "") -> tuple[replies.CoinMeta, ...]:
        """The perpetuals of a dex (weight 20)."""
        return await self._ask(replies.decode_meta, type="meta", dex=dex)

    async def perp_dexs(self) -> tuple[str, ...]:
        """The names of all dexes, the main one "" (weight 20)."""
        return await self._ask(replies.decode_perp_dexs, type="perpDexs")

    async def all_mids(self, dex: str = "") -> dict[str, Decimal]:
        """Mid prices by coin of a dex (weight 2)."""
        return await self._ask(replies.decode_all_mids, type="allMids", dex=dex)

    async def exchange_status(self) -> replies.ExchangeStatus:
        """The exchange's clock: the cheapest sign of life (weight 2)."""
        return await self._ask(replies.decode_exchange_status, type="exchangeStatus")

    async def _ask(self, decode: Callable[[bytes], T], **request: str) -> T:
        """Send ``request`` and decode its reply; the main dex is named by leaving ``dex`` out."""
        body = msgspec.json.encode({key: value for key, value in request.items() if value})
        try:
            raw = await self._attempt(request["type"], body)
        except _ConnectionLostError:
            # The exchange drops idle keep-alive connections; a read may be repeated, and is paid
            # for again.
            raw = await self._attempt(request["type"], body)
        return decode(raw)

    async def _attempt(self, request_type: str, body: bytes) -> bytes:
        weight = weights.most(request_type)
        async with self._free_connections, self._reserved(weight):
            try:
                async with asyncio.timeout(self._attempt_seconds):
                    return await self._send(body)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                raise _ConnectionLostError(f"{type(error).__name__}: {error}") from error
            except (httpx.HTTPError, TimeoutError) as error:
                raise TransportError(f"{type(error).__name__}: {error}") from error

    @contextlib.asynccontextmanager
    async def _reserved(self, weight: int) -> AsyncIterator[None]:
        """Room in the budget for one attempt, released when that is over.

        A cancelled attempt is not settled: its entry ends by itself, later.
        """
        permit = await self._budget.reserve(weight)
        while not permit.is_fresh:
            await self._budget.settle(permit, 0)
            permit = await self._budget.reserve(weight)
        try:
            yield
        except Exception:
            await self._budget.settle(permit, weight)
            raise
        await self._budget.settle(permit, weight)

    async def _send(self, body: bytes) -> bytes:
        async with self._client.stream(
            "POST", "/info", content=body, headers={"Content-Type": "application/json"}
        ) as response:
            reply = await _read(response)
        if response.status_code == 429:
            seconds = await self._budget.pause(_retry_after(response))
            raise RateLimited("the exchange said 429", retry_after_seconds=seconds)
        text = printable(reply[:200].decode("utf-8", "replace"))
        if response.is_client_error:
            raise RequestRefused(f"{response.status_code}: {text}", status=response.status_code)
        if not response.is_success:
            raise TransportError(f"HTTP {response.status_code}: {text}")
        try:
            msgspec.json.decode(reply, type=msgspec.Raw)
        except (ValueError, RecursionError) as error:
            raise TransportError(f"the reply is not JSON: {text}") from error
        return reply


class _ConnectionLostError(TransportError):
    """The connection broke before the reply was whole."""


async def _read(response: httpx.Response) -> bytes:
    """The body, refused when it is compressed or larger than ``MAX_REPLY_BYTES``."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise TransportError("the reply is compressed, which we did not ask for")
    parts = bytearray()
    async for part in response.aiter_bytes():
        parts += part
        if len(parts) > MAX_REPLY_BYTES:
            raise TransportError(f"the reply is larger than {MAX_REPLY_BYTES} bytes")
    return bytes(parts)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds of the ``Retry-After`` header; ``None`` if it is absent or a date."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None
