"""`/info` for a recording: its coins, and recorded accounts for its first addresses."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from simulator import replies
from simulator.accounts import ZERO
from simulator.faults import View
from simulator.info import RECENT_ROWS, BadRequestError, user_of
from simulator.listing import MAIN, Coin, meta, perp_dexs
from simulator.wire import text

Assignment = dict[str, tuple[str, dict[str, Any]]]


class ReplayInfo:
    """Positions never change; a state's `time` is now, so a second look shows no difference."""

    def __init__(
        self,
        coins: dict[str, Coin],
        assignment: Assignment,
        recent: Callable[[str], list[dict[str, Any]] | None],
    ) -> None:
        self._coins = coins
        self._assignment = assignment
        self._recent = recent
        self._handlers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "meta": lambda r: meta(self._of(r)),
            "metaAndAssetCtxs": lambda r: [meta(self._of(r)), [_context(c) for c in self._of(r)]],
            "perpDexs": lambda _: perp_dexs(list(coins.values())),
            "allMids": self.mids,
            "exchangeStatus": lambda _: {"time": self.now_ms, "specialStatuses": None},
            "clearinghouseState": self._state,
            "spotClearinghouseState": lambda r: {"balances": []} if user_of(r) else None,
            "userAbstraction": lambda r: "default" if user_of(r) else None,
            "userRole": lambda r: {"role": "user"} if user_of(r) else None,
            "portfolio": self._portfolio,
            "recentTrades": self._recent_trades,
            "userFills": lambda r: [] if user_of(r) else None,
            "userFillsByTime": lambda r: [] if user_of(r) else None,
        }

    @property
    def now_ms(self) -> int:
        """Wall-clock time: a recorded account is told as of now."""
        return time.time_ns() // 1_000_000

    def info(self, request: dict[str, Any], view: View) -> Any:
        """The reply to a request, its `time` set back or the account emptied as the view says."""
        handler = self._handlers.get(request["type"])
        if handler is None:
            raise BadRequestError
        reply = handler(request)
        if request["type"] == "clearinghouseState":
            at_ms = self.now_ms - int(view.delay_seconds * 1000)
            return replies.empty_state(at_ms) if view.empty else reply | {"time": at_ms}
        return reply

    def _of(self, request: dict[str, Any]) -> list[Coin]:
        dex = request.get("dex") or MAIN
        listed = [coin for coin in self._coins.values() if coin.dex == dex]
        if not listed and dex != MAIN:
            raise BadRequestError
        return listed

    def mids(self, request: dict[str, Any]) -> dict[str, str]:
        """The last recorded price of every coin."""
        return {c.name: self._price(c) for c in self._of(request)}

    def _price(self, coin: Coin) -> str:
        trades = self._recent(coin.name)
        return str(trades[-1]["px"]) if trades else text(Decimal(f"{coin.price:.5g}"))

    def _state(self, request: dict[str, Any]) -> dict[str, Any]:
        names = {coin.name for coin in self._of(request)}
        found = self._assignment.get(user_of(request))
        if found is None:
            return replies.empty_state(self.now_ms)
        state = found[1]
        rows = [row for row in state["assetPositions"] if row["position"]["coin"] in names]
        if not rows and request.get("dex"):
            return replies.empty_state(self.now_ms)
        return state | {"assetPositions": rows}

    def _portfolio(self, request: dict[str, Any]) -> list[list[Any]]:
        user_of(request)
        return replies.portfolio(None, lambda _: ZERO, self.now_ms)

    def _recent_trades(self, request: dict[str, Any]) -> list[dict[str, Any]] | None:
        trades = self._recent(str(request.get("coin")))
        return None if trades is None else trades[::-1][:RECENT_ROWS]


def _context(coin: Coin) -> dict[str, Any]:
    price = text(Decimal(f"{coin.price:.5g}"))
    return {
        "funding": "0.0000125",
        "openInterest": "0.0",
        "prevDayPx": price,
        "dayNtlVlm": "0.0",
        "premium": None,
        "oraclePx": price,
        "markPx": price,
        "midPx": price,
        "impactPxs": None,
        "dayBaseVlm": "0.0",
    }
