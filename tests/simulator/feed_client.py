"""A plain client of the simulated feed, for tests."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from simulator import SimulatorConfig
from simulator.connection import BANNER
from simulator.server import Server

START_MS = 1_790_000_000_000
WAIT_SECONDS = 5.0


def small(**changes: Any) -> SimulatorConfig:
    """A small market with a fixed start."""
    settings: dict[str, Any] = {
        "seed": 3,
        "traders": 40,
        "start_ms": START_MS,
        "warmup_trades": 300,
        "coins": ("BTC", "ETH", "MATIC", "ARB", "xyz:TSLA", "PURR/USDC"),
    }
    return SimulatorConfig(**(settings | changes))


class Client:
    """One WebSocket whose frames are decoded; the banner has been read."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, method: str, **subscription: Any) -> None:
        message: dict[str, Any] = {"method": method}
        if subscription:
            message["subscription"] = subscription
        self.socket.send(json.dumps(message))

    def text(self, timeout: float = WAIT_SECONDS) -> str:
        received = self.socket.recv(timeout=timeout)
        assert isinstance(received, str)
        return received

    def frame(self, timeout: float = WAIT_SECONDS) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self.text(timeout))
        return decoded

    def subscribe(self, **subscription: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The acknowledgement and the frame after it."""
        self.send("subscribe", **subscription)
        return self.frame(), self.frame()

    def drain(self) -> list[dict[str, Any]]:
        """All frames up to the answer to a ping."""
        self.send("ping")
        frames = []
        while (frame := self.frame())["channel"] != "pong":
            frames.append(frame)
        return frames

    def trades(self) -> list[list[dict[str, Any]]]:
        """The trades of all frames up to the answer to a ping."""
        return [frame["data"] for frame in self.drain() if frame["channel"] == "trades"]


@contextmanager
def client(sim: Server, wait_seconds: float = WAIT_SECONDS) -> Iterator[Client]:
    with connect(
        sim.ws_url,
        compression=None,
        proxy=None,
        open_timeout=WAIT_SECONDS,
        close_timeout=wait_seconds,
    ) as socket:
        one = Client(socket)
        assert one.text(wait_seconds) == BANNER
        yield one


def post(sim: Server, body: Any, timeout: float = WAIT_SECONDS) -> httpx.Response:
    """One request; plain HTTP, so no certificates are loaded."""
    url = f"{sim.api_url}/info"
    return httpx.post(url, json=body, timeout=timeout, trust_env=False, verify=False)


def info(sim: Server, kind: str, **fields: Any) -> Any:
    response = post(sim, {"type": kind} | fields)
    assert response.status_code == 200, response.text
    return response.json()


def until(condition: Callable[[], bool], timeout: float = WAIT_SECONDS) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.002)
