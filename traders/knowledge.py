"""What is known of a trader's position in a coin, and whether it still holds (pure).

A position is known from its floor on: the exchange time up to which a snapshot or a node's fill has
told its size (`traders.standing.Ledger`). It is fresh while the feed has carried the coin without a
gap since then, else stale: certain up to `as_of_ms`, what came after may have been missed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

#: The dex of a coin such as xyz:TSLA, as short as the exchange's own names and our column.
_DEX = re.compile(r"([A-Za-z0-9_-]{1,15}):")
_NOT_A_PERPETUAL = re.compile(r"[@#/]")


@dataclass(frozen=True, slots=True)
class CoinFeed:
    """How the feed stands with a coin that has a cursor; times are exchange milliseconds.

    `carried_until_ms`: the newest block of the living sockets that carry it, or, where none does,
    of the last one that did; None: unknown.
    """

    gap_until_ms: int | None
    is_covered: bool
    carried_until_ms: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of (trader, coin); `as_of_ms` is None where nothing is."""

    known: bool
    stale: bool
    as_of_ms: int | None


UNKNOWN = Standing(known=False, stale=True, as_of_ms=None)


@lru_cache(maxsize=4096)
def dex_of(coin: str) -> str:
    """Return the dex that lists the coin: "xyz" of xyz:TSLA, "" (the main one) of BTC."""
    found = _DEX.match(coin)
    return found[1] if found else ""


@lru_cache(maxsize=4096)
def is_perpetual(coin: str) -> bool:
    """Return whether a coin can be a position; spot (@107, PURR/USDC) and outcomes (#250) not."""
    return _NOT_A_PERPETUAL.search(coin) is None


def floor_ms(
    floors: Mapping[str, int],
    bases: Mapping[str, int],
    doubts: Mapping[str, Mapping[str, Any]],
    coin: str,
) -> int | None:
    """Return the time up to which the coin's size was told, None where it is not known.

    The arguments are the ledger's columns. The later of the dex's floor and the coin's own base
    counts; a doubt has the last word.
    """
    if coin in doubts:
        doubted: int | None = doubts[coin].get("floor")
        return doubted
    dex, base = floors.get(dex_of(coin)), bases.get(coin)
    if dex is None or base is None:
        return base if dex is None else dex
    return max(dex, base)


def is_stale(
    floor_ms: int, *, gap_until_ms: int | None, is_doubted: bool, is_followed: bool
) -> bool:
    """Return whether trades may have been missed since the floor.

    `gap_until_ms`: where the coin's last gap ends, that time included. `is_followed`: the coin has
    a cursor and a living socket carries it.
    """
    is_behind_gap = gap_until_ms is None or floor_ms > gap_until_ms
    return is_doubted or not is_followed or not is_behind_gap


def standing_of(
    floor_ms: int | None,
    feed: CoinFeed | None,
    *,
    is_doubted: bool = False,
    first_gap_ms: int | None = None,
) -> Standing:
    """Return what is known of a coin with this floor; `feed` is None for one without a cursor.

    `first_gap_ms`: where the earliest gap begins that ends at or after the floor, None: since ever.
    A fresh position is as of the newest block, a stale one as of the beginning of what spoils it;
    at its floor it was certainly right.
    """
    if floor_ms is None:
        return UNKNOWN
    if feed is None or is_doubted:
        return Standing(known=True, stale=True, as_of_ms=floor_ms)
    gap = feed.gap_until_ms
    stale = is_stale(floor_ms, gap_until_ms=gap, is_doubted=False, is_followed=feed.is_covered)
    has_gap = gap is not None and floor_ms <= gap
    until = first_gap_ms if has_gap else feed.carried_until_ms
    return Standing(known=True, stale=stale, as_of_ms=max(floor_ms, until or floor_ms))


def complete_as_of_ms(
    dexes: Collection[str], floors: Mapping[str, int], coins: Iterable[Standing]
) -> int | None:
    """Return up to when a trader's list of positions is whole; None where it may miss some.

    `coins`: what is known of every coin that may be held on these dexes, held or not.
    """
    told = [coin.as_of_ms for coin in coins]
    known = [at for at in told if at is not None]
    if len(known) < len(told) or any(dex not in floors for dex in dexes):
        return None
    return min(known or [floors[dex] for dex in dexes], default=None)
