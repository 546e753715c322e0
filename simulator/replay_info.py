"""`/info` for a recording: its coins and its accounts."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from simulator import replies
from simulator.accounts import ZERO
from simulator.faults import View
from simulator.info import RECENT_ROWS, BadRequestError, user_of
from simulator.listing import MAIN, Coin, meta, perp_dexs
from simulator.replay_accounts import BEHIND_MS, ReplayAccounts
from simulator.wire import text


class ReplayInfo:
    """Its clock is that of the trades that were shown; states are three seconds behind it."""

    def __init__(
        self,
        coins: dict[str, Coin],
        accounts: ReplayAccounts,
        recent: Callable[[str], list[dict[str, Any]] | None],
    ) -> None:
        self._coins = coins
        self._accounts = accounts
        self._recent = recent
        self._handlers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "meta": lambda r: meta(self._of(r)),
            "metaAndAssetCtxs": lambda r: [meta(self._of(r)), [_context(c) for c in self._of(r)]],
            "perpDexs": lambda _: perp_dexs(list(coins.values())),
            "allMids": self.mids,
            "exchangeStatus": lambda _: {"time": self.now_ms, "specialStatuses": None},
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
        """The time of the newest trade that was shown."""
        return self._accounts.newest_ms

    def info(self, request: dict[str, Any], view: View) -> Any:
        """The reply to a request, its `time` set back or the account emptied as the view says."""
        if request["type"] == "clearinghouseState":
            return self._state(request, view)
        handler = self._handlers.get(request["type"])
        if handler is None:
            raise BadRequestError
        return handler(request)

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

    def _state(self, request: dict[str, Any], view: View) -> dict[str, Any]:
        names = {coin.name for coin in self._of(request)}
        address = user_of(request)
        at_ms = self.now_ms - BEHIND_MS - int(view.delay_seconds * 1000)
        return (
            replies.empty_state(at_ms)
            if view.empty
            else self._accounts.state(address, names, at_ms)
        )

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
