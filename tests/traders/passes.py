"""Tracking passes against a simulated exchange, and what must be true after them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

import httpx
from asgiref.sync import async_to_sync
from django.db.models import Q
from django.utils import timezone

from exchange.info import InfoClient
from simulator import Simulator
from tests.traders.told_again import assert_statistics_follow_from_log
from traders.models import AccountSnapshot, Ledger, Position, PositionEvent, Trader
from traders.pass_limits import Limits, Summary
from traders.tracking import run_pass


@dataclass(frozen=True)
class Permit:
    """A reservation that never grows old."""

    is_fresh: bool = True


class OpenBudget:
    """A budget without a limit; `pauses` counts the 429 that it was told of."""

    def __init__(self) -> None:
        self.pauses = 0

    async def reserve(self, weight: int) -> Permit:
        return Permit()

    async def settle(self, permit: Permit, actual_weight: int) -> None:
        pass

    async def pause(self, seconds: float | None) -> float:
        self.pauses += 1
        return 0.0


class Together(httpx.AsyncHTTPTransport):
    """Sends requests for accounts when so many of them have come, none of them before."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._missing = count
        self._complete = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Wait for the others, if it asks for an account."""
        if b"clearinghouseState" in request.content:
            self._missing -= 1
            if self._missing == 0:
                self._complete.set()
            await self._complete.wait()
        return await super().handle_async_request(request)


def run(
    sim: Simulator,
    *,
    weight: int = 1000,
    batch_size: int = 50,
    seconds: float = 30,
    dexes: tuple[str, ...] = ("",),
    budget: OpenBudget | None = None,
    spread_seconds: float = 0,
    rotates: bool = True,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Summary:
    """Run one pass with the limits of the settings' defaults."""

    async def pass_() -> Summary:
        limits = Limits(batch_size, weight, seconds, dexes, spread_seconds, rotates=rotates)
        purse = budget or OpenBudget()
        async with InfoClient(sim.api_url, budget=purse, transport=transport) as info:
            return await run_pass(info, limits)

    return async_to_sync(pass_)()


def meet(addresses: list[str], dexes: tuple[str, ...] = ("",)) -> list[Trader]:
    """Make the addresses traders that were never tracked."""
    now = timezone.now()
    return Trader.objects.bulk_create(
        Trader(address=address, first_seen_at=now, dexes=list(dexes)) for address in addresses
    )


def make_due() -> None:
    """Let all waiting come to its end: back-offs and second looks."""
    Trader.objects.filter(retry_at__isnull=False).update(retry_at=timezone.now())


def assert_book_is_true(sim: Simulator, dexes: tuple[str, ...] = ("",)) -> None:
    """Check every number of the book against the simulator's truth at the time of its floor.

    1. Positions are the truth at the floor. 2. Each event is right in kind, and starts where the
    one before ended. 3. Baseline + events = positions: none invented, none missing.
    """
    for ledger in Ledger.objects.select_related("trader"):
        for dex in dexes:
            if dex in ledger.floors:
                _assert_positions(sim, ledger.trader, dex, ledger.floors[dex])
            _assert_events(sim, ledger.trader, dex)
    assert_log_is_whole()


def assert_log_is_whole() -> None:
    """Check that no number of the log is missing, and that positions and statistics follow."""
    sizes: dict[tuple[int, str], Decimal] = {}
    numbers = []
    for event in PositionEvent.objects.order_by("id"):
        chain = (event.trader_id, event.coin)
        assert sizes.get(chain, event.size_before) == event.size_before, event
        sizes[chain] = event.size_after
        numbers.append(event.pk)
    assert numbers == list(range(1, len(numbers) + 1))
    held = {
        (trader_id, coin): size
        for trader_id, coin, size in Position.objects.values_list("trader_id", "coin", "size")
    }
    assert {chain: held.get(chain, Decimal(0)) for chain in sizes} == sizes
    assert_statistics_follow_from_log()


def _assert_positions(sim: Simulator, trader: Trader, dex: str, floor_ms: int) -> None:
    held = dict(Position.objects.filter(trader=trader, dex=dex).values_list("coin", "size"))
    assert held == sim.truth(trader.address, dex, at_ms=floor_ms).positions, trader.address


def _assert_events(sim: Simulator, trader: Trader, dex: str) -> None:
    applied = AccountSnapshot.objects.filter(trader=trader, dex=dex, applied=True)
    times = sorted(applied.values_list("state_time_ms", flat=True))
    for before, after in pairwise(times):
        expected = differences(
            sim.truth(trader.address, dex, at_ms=before).positions,
            sim.truth(trader.address, dex, at_ms=after).positions,
        )
        assert written(trader, dex, after) == expected, (trader.address, before, after)
    of_dex = Q(coin__startswith=f"{dex}:") if dex else ~Q(coin__contains=":")
    events = PositionEvent.objects.filter(of_dex, trader_id=trader.pk)
    assert set(events.values_list("exchange_time_ms", flat=True)) <= set(times[1:])


def written(trader: Trader, dex: str, at_ms: int) -> dict[str, list[tuple[str, Decimal, Decimal]]]:
    """Return the events of one state time by coin, in the order of the log."""
    events = defaultdict(list)
    for event in PositionEvent.objects.filter(trader_id=trader.pk, exchange_time_ms=at_ms).order_by(
        "id"
    ):
        if event.coin.rpartition(":")[0] == dex:
            events[event.coin].append((event.kind, event.size_before, event.size_after))
    return dict(events)


def differences(
    before: dict[str, Decimal], after: dict[str, Decimal]
) -> dict[str, list[tuple[str, Decimal, Decimal]]]:
    """Return what happened to each coin between two true states, told by other means than ours."""
    events = {}
    zero = Decimal(0)
    for coin in before.keys() | after.keys():
        old, new = before.get(coin, zero), after.get(coin, zero)
        if old == new:
            continue
        if old == 0:
            events[coin] = [("OPEN", zero, new)]
        elif new == 0:
            events[coin] = [("CLOSE", old, zero)]
        elif (old < 0) != (new < 0):
            events[coin] = [("CLOSE", old, zero), ("OPEN", zero, new)]
        else:
            events[coin] = [("INCREASE" if abs(new) > abs(old) else "DECREASE", old, new)]
    return events
