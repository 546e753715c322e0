"""The simulated exchange of the soak, as a process of its own, and what is asked of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from hlcopy.supervisor.children import popen_options
from traders.knowledge import dex_of

COINS = (
    *("BTC", "ETH", "SOL", "HYPE", "XRP", "DOGE", "kPEPE", "SUI", "AAVE", "LINK", "FARTCOIN"),
    *("PUMP", "TRB", "GMX", "xyz:XYZ100", "xyz:TSLA", "xyz:GOLD", "PURR/USDC"),
)
#: How far back it can be asked for the truth: changes of each account.
HISTORY = 1500
ZERO = Decimal(0)
#: The address from which the product asks, and how many questions one stranger may ask.
OURS = "127.0.0.1"
ASKED_BY_ONE = 30
Positions = dict[str, dict[str, Decimal] | None]


class Market:
    """Talks to the simulator; times are exchange milliseconds, which follow the wall clock."""

    def __init__(self, api_url: str, ws_url: str) -> None:
        """Remember where it is."""
        self.api_url, self.ws_url = api_url, ws_url
        self._client = httpx.Client(base_url=api_url, trust_env=False, timeout=30)
        self._strangers = _Strangers(api_url)
        self._faults: dict[str, dict[str, Any]] = {}

    def state(self) -> dict[str, Any]:
        """Return counters and connections."""
        return dict(self._client.get("/sim/state").raise_for_status().json())

    def positions(self, dex: str, at_ms: int) -> Positions:
        """Return everybody's true sizes then; None where that is forgotten."""
        reply = self._client.get("/sim/truth", params={"dex": dex, "at_ms": at_ms})
        return {
            address: held and {coin: Decimal(size) for coin, size in held.items()}
            for address, held in reply.raise_for_status().json().items()
        }

    def account(self, address: str, dex: str) -> dict[str, Decimal]:
        """Return the sizes that the exchange's own `clearinghouseState` shows."""
        request = {"type": "clearinghouseState", "user": address, "dex": dex}
        reply = self._strangers.ask(request).raise_for_status().json()
        rows = [row["position"] for row in reply["assetPositions"]]
        # It tells some sizes with binary noise.
        return {row["coin"]: round(Decimal(row["szi"]), 8) for row in rows}

    def fills(self, address: str, from_ms: int, to_ms: int) -> list[dict[str, Any]]:
        """Return an account's fills of that time, as a node tells them too; faults are outlived."""
        request: dict[str, Any] = {"type": "userFillsByTime", "user": address}
        request |= {"startTime": from_ms, "endTime": to_ms}
        while True:
            with suppress(httpx.HTTPError, ValueError):
                return list(self._strangers.ask(request).raise_for_status().json())
            time.sleep(0.1)

    def weight(self) -> dict[str, int]:
        """Return the product's weight: the most in any 60 s, all of it, how often it was refused.

        Weight that was refused counts in the first.
        """
        told = self._client.get("/sim/weight").raise_for_status().json()["ips"].get(OURS, {})
        return {name: told.get(name, 0) for name in ("max_in_any_60s", "total", "refused")}

    def order(self, kind: str, **arguments: Any) -> bool:
        """Let something happen; False where the exchange refuses it."""
        reply = self._client.post("/sim/order", json={"type": kind, **arguments})
        return reply.status_code == 200

    def strike(self, side: str, **faults: Any) -> None:
        """Put faults in force for one side, "frames" or "rest"; those of the other stay."""
        self._faults[side] = faults
        print(f"       {now_ms()} {side}: {faults or 'well'}", flush=True)
        merged = {name: value for part in self._faults.values() for name, value in part.items()}
        self._client.post("/sim/faults", json=merged).raise_for_status()

    def struck(self, side: str) -> dict[str, Any]:
        """Return the faults in force on one side."""
        return self._faults.get(side, {})

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()
        self._strangers.close()


class Truth:
    """Everybody's true sizes at the times that one look asks for."""

    def __init__(self, exchange: Market) -> None:
        self._exchange = exchange
        self._known: dict[tuple[str, int], Positions] = {}

    def size(self, address: str, coin: str, at_ms: int) -> Decimal | None:
        """Return the size then, None where the exchange does not remember it."""
        key = (dex_of(coin), at_ms)
        if key not in self._known:
            self._known[key] = self._exchange.positions(*key)
        held = self._known[key].get(address, {})
        return None if held is None else held.get(coin, ZERO)


class _Strangers:
    """Asks `/info` from other addresses than the product's, whose weight this must not spend."""

    def __init__(self, api_url: str) -> None:
        self._api_url = api_url
        self._asked = 0
        self._client: httpx.Client | None = None

    def ask(self, request: dict[str, Any]) -> httpx.Response:
        """Send one question, after some of them from the next address."""
        if self._client is None or self._asked % ASKED_BY_ONE == 0:
            self.close()
            stranger = 256 + self._asked // ASKED_BY_ONE % 60_000
            transport = httpx.HTTPTransport(
                local_address=f"127.1.{stranger // 256}.{stranger % 256}"
            )
            self._client = httpx.Client(base_url=self._api_url, transport=transport, timeout=30)
        self._asked += 1
        return self._client.post("/info", json=request)

    def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            self._client.close()


def now_ms() -> int:
    """Return the wall clock's time, which the simulator's follows."""
    return time.time_ns() // 1_000_000


@contextmanager
def market(seed: int, traders: int, trades_per_second: float, log: Path) -> Iterator[Market]:
    """Run the simulator until the end of the block."""
    options = ["--port", "0", "--seed", str(seed), "--traders", str(traders), "--only-weight"]
    options += ["--trades-per-second", str(trades_per_second), "--coins", ",".join(COINS)]
    options += ["--history-per-account", str(HISTORY), "--volatility", "3"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "simulator", *options],
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            **popen_options(),
        )
    try:
        line = process.stdout.readline() if process.stdout else ""
        urls = dict(part.split("=", 1) for part in line.split())
        exchange = Market(urls["api"], urls["ws"])
        yield exchange
        exchange.close()
    finally:
        process.terminate()
        process.wait(20)
