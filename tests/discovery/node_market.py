"""A small market as a node writes it: files of fills, and what everybody really holds."""

from __future__ import annotations

import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import lz4.frame

#: 2026-09-21, 10:00 UTC.
BEGUN_MS = 1_789_984_800_000
PRICES = {"BTC": 60_000, "ETH": 3_000, "xyz:TSLA": 400, "@107": 40}
Event = tuple[str, dict[str, Any]]


def trader(number: int) -> str:
    """Return an address."""
    return f"0x{0xA0 + number:040x}"


@dataclass
class NodeMarket:
    """Trades of a few traders at random, kept as the node's fills."""

    seed: int = 1
    traders: int = 12
    now_ms: int = BEGUN_MS
    sizes: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    costs: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    trades: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def warm_up(self, count: int = 200) -> None:
        """Let positions come from trades that no file has."""
        for _ in range(count):
            self.block()
        self.trades = 0

    def block(self, *, most: int = 4) -> list[Event]:
        """Let a block of a few trades happen."""
        self.now_ms += self._random.randint(60, 900)
        return [e for _ in range(self._random.randint(1, most)) for e in self._trade()]

    def blocks(self, count: int) -> list[list[Event]]:
        """Let so many blocks happen."""
        return [self.block() for _ in range(count)]

    def settle(self, coin: str) -> list[Event]:
        """Close everybody's position in the coin, in a block of its own, with no other side."""
        self.now_ms += 500
        events = []
        for address, held in sorted(self.sizes):
            size = self.sizes[address, held]
            if held == coin and size:
                fill = self._fill(address, coin, -size, Decimal(PRICES[coin]), 0, taker=True)
                events.append((address, {**fill, "dir": "Settlement"}))
        return events

    def held(self, coins: Iterable[str] = PRICES) -> dict[tuple[str, str], Decimal]:
        """Return who holds what, perpetuals only."""
        wanted = {coin for coin in coins if not coin.startswith("@")}
        return {key: size for key, size in self.sizes.items() if size and key[1] in wanted}

    def _trade(self) -> list[Event]:
        coin = self._random.choice(list(PRICES))
        buyer, seller = (trader(self._random.randrange(self.traders)) for _ in range(2))
        size = Decimal(self._random.randint(1, 400)) / 100
        price = PRICES[coin] + Decimal(self._random.randint(-50, 50)) / 10
        tid = self._random.getrandbits(50) | 1
        self.trades += 1
        takes = self._random.random() < 0.5
        sides = [(buyer, size, takes), (seller, -size, not takes)]
        return [(who, self._fill(who, coin, s, price, tid, taker=t)) for who, s, t in sides]

    def _fill(
        self, address: str, coin: str, size: Decimal, price: Decimal, tid: int, *, taker: bool
    ) -> dict[str, Any]:
        key = (address, coin)
        start, cost = self.sizes[key], self.costs[key]
        closed = min(abs(size), abs(start)) if start * size < 0 else Decimal(0)
        entry = cost / start if start else Decimal(0)
        pnl = (price - entry) * closed * (1 if start > 0 else -1)
        after = start + size
        if start * after <= 0:
            self.costs[key] = after * price
        else:
            self.costs[key] = after * entry if closed else cost + size * price
        self.sizes[key] = after
        return {
            "coin": coin,
            "px": str(price),
            "sz": str(abs(size)),
            "side": "B" if size > 0 else "A",
            "time": self.now_ms,
            "startPosition": str(start),
            "dir": direction(coin, start, after),
            "closedPnl": str(round(pnl, 6)),
            "hash": f"0x{tid:064x}",
            "oid": 1,
            "crossed": taker,
            "fee": "0.1",
            "tid": tid,
            "feeToken": "USDC",
        }


def direction(coin: str, start: Decimal, after: Decimal) -> str:
    """Return `dir` as the exchange writes it."""
    if coin.startswith("@"):
        return "Buy" if after > start else "Sell"
    if start * after < 0:
        return "Long > Short" if start > 0 else "Short > Long"
    kind = "Open" if abs(after) > abs(start) else "Close"
    return f"{kind} {'Long' if (start or after) > 0 else 'Short'}"


def text(blocks: Iterable[list[Event]], *, by_block: bool) -> bytes:
    """Return the lines of a node's file."""
    lines: list[Any] = []
    for number, events in enumerate(blocks):
        if by_block:
            lines.append({"block_time": "2026", "block_number": number, "events": events})
        else:
            lines += [list(event) for event in events]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def write(path: Path, content: bytes) -> Path:
    """Write a file, packed as its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pack = {".gz": gzip.compress, ".lz4": lz4.frame.compress}.get(path.suffix)
    path.write_bytes(pack(content) if pack else content)
    return path


def hourly(folder: Path, hour: int, suffix: str = "") -> Path:
    """Return the path of an hour of 2026-09-21."""
    return folder / "hourly" / "20260921" / f"{hour}{suffix}"
