"""What the live market sends to subscribers."""

from __future__ import annotations

import zlib
from typing import Any

from simulator.connection import Key
from simulator.hub import Hub
from simulator.info import ADDRESS, FILL_ROWS, Info
from simulator.listing import MAIN, SPOT
from simulator.venue import Venue
from simulator.wire import Block, encode, text, trades_frame


class LiveFeed:
    """Frames of `trades`, `bbo`, `allMids` and `fastAssetCtxs`."""

    def __init__(self, venue: Venue, info: Info) -> None:
        self._venue = venue
        self._info = info
        self._shown: dict[str, dict[str, str]] = {}

    def normalise(self, subscription: dict[str, Any]) -> dict[str, Any] | None:
        """The subscription as echoed: `allMids` gains `"dex":null`; None for what is unknown."""
        kind = subscription.get("type")
        if kind in {"trades", "bbo"}:
            coin = subscription.get("coin")
            return dict(subscription) if coin in self._venue.coins else None
        if kind == "allMids":
            dex = subscription.get("dex")
            known = {coin.dex for coin in self._venue.coins.values()} - {SPOT}
            return {"type": kind, "dex": dex} if (dex or MAIN) in known else None
        if kind == "userFills" and ADDRESS.fullmatch(str(subscription.get("user"))):
            return {"type": kind, "user": str(subscription["user"]).lower()}
        return {"type": kind} if kind == "fastAssetCtxs" else None

    def first_frames(self, key: Key) -> list[str]:
        """The unflagged replay of 30 trades, the current quote, all mids."""
        kind, subject = key
        if kind == "trades":
            return [trades_frame(list(self._venue.recent[subject])).decode()]
        if kind == "bbo":
            return [self._bbo(subject)]
        if kind == "allMids":
            return [self._mids(subject)]
        if kind == "userFills":
            rows = self._info.fills(subject)
            data = {"isSnapshot": True, "user": subject, "fills": rows[:FILL_ROWS]}
            return [_frame(kind, data)]
        marks = self._marks()
        self._shown = self._shown or marks
        return [_frame("fastAssetCtxs", marks)]

    def publish(self, hub: Hub, block: Block) -> None:
        """Send the quote that a block left behind, and then, as the exchange does, its trades."""
        self.publish_quote(hub, block.coin)
        key = ("trades", block.coin)
        if hub.has_subscribers(key):
            hub.publish(key, block.frame.decode())
        for user in dict.fromkeys(user for trade in block.trades for user in trade.users):
            if hub.has_subscribers(("userFills", user)):
                rows = self._info.fills(user, since_ms=block.time_ms)[::-1]
                hub.publish(("userFills", user), _frame("userFills", {"user": user, "fills": rows}))

    def publish_quote(self, hub: Hub, coin: str) -> None:
        """Send a coin's best bid and offer."""
        if hub.has_subscribers(("bbo", coin)):
            hub.publish(("bbo", coin), self._bbo(coin))

    def publish_mids(self, hub: Hub) -> None:
        """Send `allMids`, and the marks that changed."""
        for kind, dex in list(hub.subscribers):
            if kind == "allMids" and hub.has_subscribers((kind, dex)):
                hub.publish((kind, dex), self._mids(dex))
        if hub.has_subscribers(("fastAssetCtxs", "")):
            marks = self._marks()
            changed = {c: ctx for c, ctx in marks.items() if self._shown.get(c) != ctx}
            self._shown = marks
            if changed:
                hub.publish(("fastAssetCtxs", ""), _frame("fastAssetCtxs", changed))

    def _bbo(self, coin: str) -> str:
        book = self._venue.book(coin)
        sizes = [zlib.crc32(f"{side}{book.mid}".encode()) % 900 + 1 for side in (0, 1)]
        levels = [
            {"px": text(price), "sz": text(book.coin.lot * size), "n": size % 20 + 1}
            for price, size in zip((book.bid, book.ask), sizes, strict=True)
        ]
        return _frame("bbo", {"coin": coin, "time": self._venue.now_ms, "bbo": levels})

    def _mids(self, dex: str) -> str:
        data: dict[str, Any] = {"mids": self._info.mids({"dex": dex})}
        if dex:
            data["dex"] = dex
        return _frame("allMids", data)

    def _marks(self) -> dict[str, dict[str, str]]:
        books = self._venue.market.books.values()
        return {
            b.coin.name: {"markPx": text(b.mark), "midPx": text((b.bid + b.ask) / 2)} for b in books
        }


def _frame(channel: str, data: Any) -> str:
    return encode({"channel": channel, "data": data}).decode()
