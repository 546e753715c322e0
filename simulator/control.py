"""The `/sim/...` routes: truth, weight, state, faults and orders for other processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from simulator.faults import Faults
from simulator.hub import Hub
from simulator.orders import OrderError, Orders
from simulator.weights import WeightLog

__all__ = ["Control", "OrderError"]


class Control:
    """Answers `/sim/...`; a recording has no orders."""

    def __init__(
        self,
        hub: Hub,
        state: Callable[[], dict[str, Any]],
        orders: Orders | None,
        step: Callable[[int, float], int],
    ) -> None:
        self._hub = hub
        self._state = state
        self._orders = orders
        self._step = step
        self.weights: dict[str, WeightLog] = {}

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> Any:
        """The reply to one request; raises OrderError or msgspec.MsgspecError (both: 400)."""
        if method == "GET":
            return self._show(path, query)
        if path == "/sim/faults" and method in {"POST", "DELETE"}:
            asked = body if body and method == "POST" else b"{}"
            self._hub.set_faults(msgspec.json.decode(asked, type=Faults))
            return self._hub.faults
        if path == "/sim/order" and method == "POST":
            return self._order(msgspec.json.decode(body or b"null"))
        raise OrderError(f"no such route: {method} {path}")

    def _show(self, path: str, query: dict[str, str]) -> Any:
        if path == "/sim/weight":
            return self.weight()
        if path in {"/sim/connects", "/sim/faults"}:
            return self.connects() if path == "/sim/connects" else self._hub.faults
        if path == "/sim/state":
            return self._state() | {"connections": self.connections()}
        if path == "/sim/truth" and self._orders is not None:
            at = query.get("at_ms")
            at_ms = int(at) if at is not None and at.isdecimal() else None
            dex = query.get("dex", "")
            if "user" in query:
                return self._orders.truth(query["user"], dex, at_ms=at_ms)
            if at_ms is not None:
                return self._orders.positions_at(dex, at_ms)
            return self._orders.all_positions(dex)
        raise OrderError(f"no such route: GET {path}")

    def weight(self) -> dict[str, Any]:
        """What every IP has spent; `max_in_any_60s` counts charged and refused requests."""
        return {
            "max_in_any_60s": max((log.max_asked for log in self.weights.values()), default=0),
            "ips": {
                ip: {
                    "used_last_60s": log.used_now(),
                    "max_charged_in_any_60s": log.max_used,
                    "max_in_any_60s": log.max_asked,
                    "total": log.total,
                    "requests": log.requests,
                    "refused": log.refused,
                    "arrivals": list(log.window),
                }
                for ip, log in self.weights.items()
            },
        }

    def connects(self) -> dict[str, Any]:
        """The attempts to connect of every IP, whatever became of them."""
        logs = self._hub.connects
        return {
            "max_in_any_60s": max((log.max_asked for log in logs.values()), default=0),
            "ips": {ip: log.shown() for ip, log in logs.items()},
        }

    def connections(self) -> list[dict[str, Any]]:
        """The open WebSockets."""
        return [
            {
                "connection": number,
                "ip": connection.ip,
                "subscriptions": len(connection.keys),
                "frames_sent": connection.sent_total,
            }
            for number, connection in self._hub.connections.items()
        ]

    def _order(self, order: Any) -> Any:
        """Follow an order: `{"type": name, ...arguments}`."""
        if not isinstance(order, dict):
            raise OrderError("an order is an object with a type")
        arguments = dict(order)
        kind = arguments.pop("type", None)
        if kind == "drop":
            codes = arguments.get("code", 1000)
            return {"dropped": self._hub.drop(codes, tuple(arguments.get("connections", ())))}
        if kind == "step":
            played = self._step(arguments.get("blocks", 0), arguments.get("seconds", 0.0))
            return {"blocks": played}
        if self._orders is None:
            raise OrderError(f"a recording cannot {kind}")
        known: dict[str, Callable[..., Any]] = {
            "trade": self._orders.trade,
            "move": self._orders.move,
            "deposit": self._orders.deposit,
            "liquidate": self._orders.liquidate,
            "set_price": self._orders.set_price,
            "list_coin": self._orders.list_coin,
            "delist_coin": self._orders.delist_coin,
            "pace": self._orders.pace,
        }
        if kind not in known:
            raise OrderError(f"unknown order {kind!r}; known: drop, step, {', '.join(known)}")
        try:
            return known[kind](**arguments)
        except TypeError as exc:
            raise OrderError(f"{kind}: {exc}") from exc
