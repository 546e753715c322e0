"""What the accounts of a recording hold: what was recorded of them, and what they traded since."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from simulator import replies
from simulator.accounts import ZERO, Position, apply_fill
from simulator.listing import Coin
from simulator.wire import text

#: Of everybody whose account was not recorded.
DEPOSIT_USD = Decimal(10_000)
#: A state is so much older than the newest trade: whoever compares them has seen the feed go by.
BEHIND_MS = 3000

Assignment = dict[str, tuple[str, dict[str, Any]]]
#: (time, coin, signed size, price).
Played = tuple[int, str, Decimal, Decimal]


class ReplayAccounts:
    """Positions follow the trades that are played; who trades nothing keeps what was recorded.

    Times are the recording's, and stand still at its end.
    """

    def __init__(self, coins: dict[str, Coin], assignment: Assignment, *, began_ms: int) -> None:
        self.newest_ms = began_ms
        self._coins = coins
        self._assignment = assignment
        self._fills: dict[str, list[Played]] = {}
        self._seen: set[tuple[str, int]] = set()

    def show(self, trades: list[dict[str, Any]]) -> None:
        """Take over the time of a replay frame, which tells what was before the recording."""
        self.newest_ms = max(self.newest_ms, *(int(trade["time"]) for trade in trades))
        self._seen.update(_key(trade) for trade in trades)

    def play(self, trades: list[dict[str, Any]]) -> None:
        """Change the positions of both sides, once for each trade."""
        new = [trade for trade in trades if _key(trade) not in self._seen]
        if not new:
            return
        self.show(new)
        for trade in new:
            time_ms, coin = int(trade["time"]), str(trade["coin"])
            size, price = Decimal(trade["sz"]), Decimal(trade["px"])
            for user, delta in zip(trade["users"], (size, -size), strict=True):
                self._fills.setdefault(user.lower(), []).append((time_ms, coin, delta, price))

    def state(self, address: str, names: set[str], at_ms: int) -> dict[str, Any]:
        """The `clearinghouseState` of some coins as of a time; its equity is the recorded one's."""
        _, recorded = self._assignment.get(address, ("", None))
        rows = {
            str(row["position"]["coin"]): row for row in (recorded or {}).get("assetPositions", ())
        }
        fills = [fill for fill in self._fills.get(address, ()) if fill[0] <= at_ms]
        positions = {}
        for coin in {coin for _, coin, _, _ in fills} & names:
            row = rows.pop(coin, None)
            of_coin = [(delta, price) for _, name, delta, price in fills if name == coin]
            position = self._after(self._coins[coin], row, of_coin, at_ms)
            if position is not None:
                positions[coin] = position
        made = replies.clearinghouse_state(
            DEPOSIT_USD, positions, self._coins, self._mark, time_ms=at_ms, unified=False
        )
        kept = [row for coin, row in rows.items() if coin in names]
        shown = kept + made["assetPositions"]
        return (recorded or made) | {"assetPositions": shown, "time": at_ms}

    def _after(
        self, coin: Coin, row: dict[str, Any] | None, fills: list[tuple[Decimal, Decimal]], at: int
    ) -> Position | None:
        """The position that begins as recorded and goes through some signed fills."""
        opened = Position(ZERO, ZERO, coin.max_leverage, isolated=False, opened_ms=at)
        position = None
        if row is not None:
            size = Decimal(row["position"]["szi"])
            entry = Decimal(row["position"].get("entryPx") or text(self._mark(coin.name)))
            position, _ = apply_fill(None, size, entry, opened=opened)
        for delta, price in fills:
            position, _ = apply_fill(position, delta, price, opened=opened)
        return position

    def _mark(self, name: str) -> Decimal:
        return Decimal(f"{self._coins[name].price:.5g}")


def _key(trade: dict[str, Any]) -> tuple[str, int]:
    return str(trade["coin"]), int(trade["tid"])
