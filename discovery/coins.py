"""Which coins the sockets carry: what was asked for, as far as the exchange lists it (pure).

A coin is listed while PostgreSQL's list (from `meta`) has it, not delisted, or the free `allMids`
subscription shows it. Neither is needed alone: the first start has no list, and `allMids` goes on
showing some delisted coins (MATIC, long after it became POL).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from traders.knowledge import dex_of, is_perpetual

#: Over all connections of an IP (hyperliquid docs, rate limits).
MAX_SUBSCRIPTIONS = 1000
#: Their best prices change several times a second, also while nobody trades: they tell the time.
#: Two: one alone is not believed (`discovery.blocks`) where all coins that are carried are quiet.
CLOCK_COINS = ("BTC", "ETH")
#: A coin that `allMids` has not shown for so long is gone.
GONE_AFTER_SECONDS = 600
#: A server that shows no mids by then is taken at its word: the configured coins are tried.
DECIDE_AFTER_SECONDS = 5
_PERP = re.compile(r"[A-Za-z0-9_-]{1,15}:[^@#/\s:*]{1,24}|[^@#/\s:*]{1,32}")


@dataclass(frozen=True, slots=True)
class Choice:
    """The coins to subscribe to, and why some that were asked for are left out."""

    coins: tuple[str, ...]
    skipped: dict[str, str]
    #: Whether every wish could be judged.
    is_complete: bool = True


class CoinPlan:
    """What was asked for and what is listed; times are monotonic seconds."""

    def __init__(self, wishes: Collection[str], *, sockets: int, started_seconds: float) -> None:
        """Take the setting's coins: names, `all` (the main dex) and `dex:*`."""
        self._wishes = tuple(dict.fromkeys(wishes))
        self._started = started_seconds
        self.dexes = tuple(sorted({dex_of(wish) for wish in self._wishes} | {""}))
        # Each socket also carries the mids of every dex, and its clocks.
        self._most = MAX_SUBSCRIPTIONS // sockets - len(self.dexes) - len(CLOCK_COINS)
        self._delisted: dict[str, bool] = {}
        self._last_shown: dict[str, float] = {}
        self._first_mids: dict[str, float] = {}

    def listed(self, coins: Iterable[tuple[str, bool]]) -> None:
        """Take PostgreSQL's list: (name, is_delisted) of every coin."""
        self._delisted = dict(coins)

    def shown(self, dex: str, names: Iterable[str], now: float) -> bool:
        """Take the names of one `allMids` frame; return whether any of them is new."""
        perps = {name for name in names if _PERP.fullmatch(name)}
        for shown in {dex_of(name) for name in perps} | {dex}:
            self._first_mids.setdefault(shown, now)
        news = not perps <= self._last_shown.keys()
        self._last_shown.update(dict.fromkeys(perps, now))
        return news

    def choose(self, now: float) -> Choice:
        """Return the coins to carry now; a coin that cannot be judged yet is in neither part."""
        chosen: dict[str, None] = {}
        skipped: dict[str, str] = {}
        is_complete = True
        for wish in self._wishes:
            if wish == "all" or wish.endswith(":*"):
                found = sorted(self._listed_on(dex_of(wish), now))
                chosen |= dict.fromkeys(found)
                if not found and self._may_judge(dex_of(wish), now):
                    skipped[wish] = "the exchange shows no coin of it"
                is_complete &= bool(found) or wish in skipped
            elif not is_perpetual(wish) or self._is_listed(wish, now):
                chosen[wish] = None
            elif self._delisted.get(wish, False):
                skipped[wish] = "delisted"
            elif self._may_judge(dex_of(wish), now):
                skipped[wish] = "no longer shown" if wish in self._delisted else "unknown"
            elif now - self._started >= DECIDE_AFTER_SECONDS:
                chosen[wish] = None
            else:
                is_complete = False
        coins = tuple(chosen)
        for coin in coins[self._most :]:
            skipped[coin] = f"beyond the exchange's limit of {MAX_SUBSCRIPTIONS} subscriptions"
        return Choice(coins[: self._most], skipped, is_complete)

    def _may_judge(self, dex: str, now: float) -> bool:
        """Return whether a coin's absence says something: the mids came, or only the list will."""
        if dex in self._first_mids:
            return True
        in_list = any(dex_of(coin) == dex for coin in self._delisted)
        return in_list and now - self._started >= DECIDE_AFTER_SECONDS

    def _listed_on(self, dex: str, now: float) -> set[str]:
        names = self._delisted.keys() | self._last_shown.keys()
        return {name for name in names if dex_of(name) == dex and self._is_listed(name, now)}

    def _is_listed(self, coin: str, now: float) -> bool:
        if self._delisted.get(coin, False):
            return False
        # Without a single frame of mids the list alone speaks.
        first_mids = self._first_mids.get(dex_of(coin), now)
        in_list = coin in self._delisted
        shown_at = self._last_shown.get(coin, first_mids if in_list else None)
        return shown_at is not None and now - shown_at <= GONE_AFTER_SECONDS
