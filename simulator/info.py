"""`POST /info`: one function per request type."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from typing import Any, Protocol

import msgspec

from simulator import replies
from simulator.accounts import Account, Fill
from simulator.behaviour import HLP_MAKERS, LIQUIDATOR
from simulator.faults import View
from simulator.listing import MAIN, SPOT, Coin, meta, perp_dexs
from simulator.venue import Venue
from simulator.wire import text

ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
FILL_ROWS = 2000
RECENT_ROWS = 10


class BadRequestError(Exception):
    """The body is not a request: answered 422."""


class InfoSource(Protocol):
    """What answers `/info`: the live market, or a recording."""

    @property
    def now_ms(self) -> int:
        """Exchange time."""

    def info(self, request: dict[str, Any], view: View) -> Any:
        """The reply to a request; raises BadRequestError for nonsense."""


def decode(body: bytes) -> dict[str, Any]:
    """A request with a known shape: an object with a `type` of text; raises BadRequestError."""
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise BadRequestError from exc
    if not isinstance(request, dict) or not isinstance(request.get("type"), str):
        raise BadRequestError
    return request


def user_of(request: dict[str, Any]) -> str:
    """The address that a request asks for, in lower case."""
    user = request.get("user")
    if not isinstance(user, str) or not ADDRESS.fullmatch(user):
        raise BadRequestError
    return user.lower()


class Info:
    """The replies of a live market."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._handlers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "meta": lambda r: meta(self._coins(r)),
            "metaAndAssetCtxs": self._meta_and_contexts,
            "perpDexs": lambda _: perp_dexs(list(venue.coins.values())),
            "allMids": self.mids,
            "exchangeStatus": lambda _: {"time": venue.now_ms, "specialStatuses": None},
            "spotClearinghouseState": self._spot_state,
            "userAbstraction": self._abstraction,
            "userRole": self._role,
            "portfolio": self._portfolio,
            "recentTrades": self._recent_trades,
            "userFills": lambda r: self.fills(user_of(r))[:FILL_ROWS],
            "userFillsByTime": self._fills_by_time,
        }

    @property
    def now_ms(self) -> int:
        """Exchange time."""
        return self._venue.now_ms

    def info(self, request: dict[str, Any], view: View) -> Any:
        """The reply to a request, accounts as the view shows them."""
        if request["type"] == "clearinghouseState":
            return self._clearinghouse_state(request, view)
        handler = self._handlers.get(request["type"])
        if handler is None:
            raise BadRequestError
        return handler(request)

    def _dex(self, request: dict[str, Any]) -> str:
        dex = request.get("dex") or MAIN
        if dex == SPOT or all(coin.dex != dex for coin in self._venue.coins.values()):
            raise BadRequestError
        return str(dex)

    def _coins(self, request: dict[str, Any]) -> list[Coin]:
        dex = self._dex(request)
        return [coin for coin in self._venue.coins.values() if coin.dex == dex]

    def _meta_and_contexts(self, request: dict[str, Any]) -> Any:
        coins = self._coins(request)
        return [meta(coins), [self._context(coin) for coin in coins]]

    def _context(self, coin: Coin) -> dict[str, Any]:
        book = self._venue.book(coin.name)
        live = not coin.delisted
        volume = Decimal(book.volume).quantize(Decimal("0.01"))
        return {
            "funding": text(self._venue.funding_rates.get(coin.name, Decimal("0.0000125"))),
            "openInterest": text(self._open_interest(coin)),
            "prevDayPx": text(book.open_price),
            "dayNtlVlm": text(volume),
            "premium": "0.0003" if live else None,
            "oraclePx": text(book.mark),
            "markPx": text(book.mark),
            "midPx": text((book.bid + book.ask) / 2) if live else None,
            "impactPxs": [text(book.bid), text(book.ask)] if live else None,
            "dayBaseVlm": text((volume / book.mark).quantize(coin.lot)),
        }

    def _open_interest(self, coin: Coin) -> Decimal:
        accounts = self._venue.ledger.accounts.values()
        sizes = (a.positions[coin.name].size for a in accounts if coin.name in a.positions)
        return sum((size for size in sizes if size > 0), Decimal(0))

    def mids(self, request: dict[str, Any]) -> dict[str, str]:
        """`allMids`: one dex; the main one includes spot pairs."""
        dex = self._dex(request)
        wanted = {dex, SPOT} if dex == MAIN else {dex}
        return {
            name: text((book.bid + book.ask) / 2)
            for name, book in self._venue.market.books.items()
            if book.coin.dex in wanted
        }

    def _account(self, request: dict[str, Any], dex: str = MAIN) -> Account | None:
        return self._venue.ledger.get(user_of(request), dex)

    def _clearinghouse_state(self, request: dict[str, Any], view: View) -> dict[str, Any]:
        venue = self._venue
        venue.seal()
        account = self._account(request, self._dex(request))
        time_ms = venue.now_ms - int(view.delay_seconds * 1000)
        if account is None or view.empty:
            return replies.empty_state(time_ms)
        as_of_ms = time_ms - int(view.skew_seconds * 1000)
        cash, positions = account.cash, account.positions
        if as_of_ms < venue.now_ms:
            cash, positions = account.at(as_of_ms)
        return replies.clearinghouse_state(
            cash,
            positions,
            venue.coins,
            venue.ledger.mark,
            time_ms=time_ms,
            unified=account.unified,
        )

    def _spot_state(self, request: dict[str, Any]) -> dict[str, Any]:
        perp, spot = self._account(request), self._account(request, SPOT)
        return replies.spot_state(perp, spot, self._venue.ledger.mark)

    def _abstraction(self, request: dict[str, Any]) -> str:
        account = self._account(request)
        return "unifiedAccount" if account is not None and account.unified else "default"

    def _role(self, request: dict[str, Any]) -> dict[str, str]:
        if user_of(request) in {LIQUIDATOR, *HLP_MAKERS}:
            return {"role": "vault"}
        return {"role": "user" if self._account(request) else "missing"}

    def _portfolio(self, request: dict[str, Any]) -> list[list[Any]]:
        account = self._account(request)
        return replies.portfolio(account, self._venue.ledger.mark, self._venue.now_ms)

    def _recent_trades(self, request: dict[str, Any]) -> list[Any] | None:
        recent = self._venue.recent.get(str(request.get("coin")))
        return None if recent is None else list(islice(reversed(recent), RECENT_ROWS))

    def fills(self, user: str, since_ms: int = 0) -> list[dict[str, Any]]:
        """All remembered fills of a user, newest first."""
        ledger = self._venue.ledger
        rows: list[tuple[int, int, Fill, str]] = []
        for dex in dict.fromkeys(coin.dex for coin in self._venue.coins.values()):
            account = ledger.get(user, dex)
            for change in reversed(account.changes) if account else ():
                if change.time_ms < since_ms:
                    break
                if change.fill is not None:
                    rows.append((change.fill.time_ms, change.fill.oid, change.fill, dex))
        rows.sort(key=lambda row: row[:2], reverse=True)
        return [replies.fill_row(fill, dex) for _, _, fill, dex in rows]

    def _fills_by_time(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        start, end = request.get("startTime"), request.get("endTime", 1 << 62)
        if not isinstance(start, int) or not isinstance(end, int):
            raise BadRequestError
        rows = [row for row in self.fills(user_of(request)) if start <= row["time"] <= end]
        if not request.get("reversed"):
            rows.reverse()
        return rows[:FILL_ROWS]
