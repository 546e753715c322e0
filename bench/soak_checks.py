"""What is looked at all along the soak: numbers against the truth, the log, gaps, corrections.

Each finding that breaks a promise is a sentence in `failures`; what is allowed is counted.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from decimal import Decimal
from random import Random

from django.db import connection, transaction

from bench.soak_looks import looked_ms
from bench.soak_market import Market, Truth, now_ms
from bench.soak_outages import REPLAY_TRADES, Missed, Outage, Outages
from bench.soak_served import Served
from hlcopy.clock import to_ms
from traders import coverage
from traders.knowledge import CoinFeed, dex_of, floor_ms, is_perpetual, standing_of
from traders.models import Correction, FeedCursor, FeedGap, Ledger, Position, PositionEvent, Trader

ZERO = Decimal(0)
#: Without a living row a coin is covered no more; half a second to look.
STALE_WITHIN_MS = 5_500
#: When an outage is over, everything that it has left is committed.
JUDGED_AFTER_MS = 12_000
#: A replay's oldest block may be cut, and what is in flight may be lost: not so near is it judged.
NEEDLESS_BELOW = REPLAY_TRADES - 10
#: After late frames, a late trade may be too late for some time.
LATE_FOR_MS = 90_000
API_TRADERS = 4
#: In any sliding 60 s, as the exchange counts it.
MOST_WEIGHT = 1_200


class Checks:
    """Everything that one look compares; `look` may raise django.db.Error while PostgreSQL dies."""

    def __init__(
        self, exchange: Market, outages: Outages, missed: Missed, dice: Random, web_url: str
    ) -> None:
        """Nothing has been looked at."""
        self._exchange, self._outages, self._missed = exchange, outages, missed
        self._dice = dice
        self.failures: list[str] = []
        self.counts: Counter[str] = Counter()
        self._web = Served(web_url, outages, self.counts, self.fail)
        self._asked: list[str] = []
        #: When frames came late: (from, to) in milliseconds.
        self.late_frames: list[tuple[int, int]] = []
        self._head = self._last_gap = self._last_correction = 0
        self._chain: dict[tuple[int, str], Decimal] = {}
        self._told: set[tuple[str, str, str]] = set()
        self._judged: set[int] = set()
        self._corrected: dict[tuple[int, str], int] = defaultdict(int)
        self.blind_ms = 0

    def look(self) -> Counter[str]:
        """Compare everything once; return how many positions are fresh, stale, unknown."""
        found = self.positions()
        self._served()
        self._gaps()
        self._outages_judged()
        self._corrections()
        self._weight()
        self.counts["looks"] += 1
        return found

    def fail(self, kind: str, who: str, coin: str, text: str) -> None:
        """Note what breaks a promise, once for each trader and coin."""
        self.counts[f"FAILED {kind}"] += 1
        if (kind, who, coin) not in self._told:
            self._told.add((kind, who, coin))
            self.failures.append(f"{kind}: {who} {coin}: {text[:600]}")
            print(f"FAILED {now_ms()}", self.failures[-1], flush=True)

    # -- every trader and coin --------------------------------------------------------------------

    def positions(self) -> Counter[str]:
        """Hold every position that is shown as fresh against the truth of its time."""
        found: Counter[str] = Counter()
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            feeds = coverage.coin_feeds(FeedCursor.objects.defer("keys"))
            ledgers = list(Ledger.objects.select_related("trader"))
            rows = Position.objects.values_list("trader_id", "coin", "size")
            held = {(trader_id, coin): size for trader_id, coin, size in rows}
            self._log(held)
        truth = Truth(self._exchange)
        for ledger in ledgers:
            for coin, feed in feeds.items():
                if dex_of(coin) not in ledger.trader.dexes or not is_perpetual(coin):
                    continue
                size = held.get((ledger.pk, coin), ZERO)
                found[self._compare(ledger, coin, feed, size, truth)] += 1
        self.counts.update({f"compared {kind}": count for kind, count in found.items()})
        return found

    def _compare(
        self, ledger: Ledger, coin: str, feed: CoinFeed, size: Decimal, truth: Truth
    ) -> str:
        floor = floor_ms(ledger.floors, ledger.bases, ledger.doubts, coin)
        standing = standing_of(floor, feed, is_doubted=coin in ledger.doubts)
        if floor is None or standing.as_of_ms is None:
            return "unknown"
        if standing.stale:
            return "stale"
        address = ledger.trader.address
        true = truth.size(address, coin, standing.as_of_ms)
        if true is None:
            return "forgotten"
        if size == true:
            return "fresh"
        looked = looked_ms(ledger, coin, floor, self._missed.told_by_nodes)
        if self._missed.excuses(address, coin, looked):
            self.blind_ms = max(self.blind_ms, standing.as_of_ms - looked)
            return "wrong, not told to the feed, not yet looked at"
        self.fail(
            *("wrong number", address, coin),
            f"{size} shown, {true} true at {standing.as_of_ms}; floor {floor}, {feed}, "
            f"doubt {ledger.doubts.get(coin)}",
        )
        return "WRONG"

    def _log(self, held: dict[tuple[int, str], Decimal]) -> None:
        """Check that no number of the log is missing, that it is a chain, and ends in positions."""
        moved = set()
        events = PositionEvent.objects.filter(pk__gt=self._head).order_by("id")
        for event in events.only("trader_id", "coin", "size_before", "size_after"):
            chain = (event.trader_id, event.coin)
            who = str(event.trader_id)
            if event.pk != self._head + 1:
                self.fail("log has a hole", who, event.coin, f"{self._head} then {event.pk}")
            if self._chain.get(chain, event.size_before) != event.size_before:
                text = f"event {event.pk} begins at {event.size_before}, not {self._chain[chain]}"
                self.fail("log is no chain", who, event.coin, text)
            self._head, self._chain[chain] = event.pk, event.size_after
            moved.add(chain)
        for trader_id, coin in self._chain:
            size, told = held.get((trader_id, coin), ZERO), self._chain[trader_id, coin]
            if size != told:
                text = f"{size} held, {told} after the last event"
                self.fail("log does not add up", str(trader_id), coin, text)
        self.counts["events"] = self._head

    # -- what the API serves ----------------------------------------------------------------------

    def _served(self) -> None:
        """Hold what the API says of some traders against the truth."""
        ledgers = list(Ledger.objects.select_related("trader").order_by("?")[:API_TRADERS])
        self._asked = [ledger.trader.address for ledger in ledgers]
        truth = Truth(self._exchange)
        for ledger in ledgers:
            for row in self._web.positions(ledger.trader.address):
                if not row["known"] or row["stale"]:
                    continue
                coin, at_ms = row["coin"], to_ms(datetime.fromisoformat(row["as_of"]))
                floor = floor_ms(ledger.floors, ledger.bases, ledger.doubts, coin) or 0
                true = truth.size(ledger.trader.address, coin, at_ms)
                self.counts["numbers served by the API"] += 1
                if true is None or Decimal(row["size"]) == true:
                    continue
                looked = looked_ms(ledger, coin, floor, self._missed.told_by_nodes)
                if not self._missed.excuses(ledger.trader.address, coin, looked):
                    text = f"{row['size']} served, {true} true at {at_ms}"
                    self.fail("wrong number served", ledger.trader.address, coin, text)

    def ask_without_database(self) -> None:
        """Ask the API as well while PostgreSQL is away: it may refuse, and does not hang."""
        for address in self._asked:
            self._web.positions(address)

    # -- the exchange's limit ---------------------------------------------------------------------

    def _weight(self) -> None:
        """See that the exchange has counted no more than it allows, and refused nothing."""
        weight = self._exchange.weight()
        most, refused = weight["max_in_any_60s"], weight["refused"]
        self.counts["most weight in any 60 s"] = most
        self.counts["weight in all"] = weight["total"]
        if most > MOST_WEIGHT or refused:
            self.fail("weight", "", "", f"{most} in 60 s, {refused} requests refused")

    # -- gaps -------------------------------------------------------------------------------------

    def _gaps(self) -> None:
        """Look for the reason of every new gap."""
        if self._outages.open is not None:
            return
        for gap in FeedGap.objects.filter(pk__gt=self._last_gap).order_by("id"):
            self._last_gap = gap.pk
            self.counts[f"gaps: {gap.reason}"] += 1
            if "/" in gap.coin:
                # Spot is brought by imports alone, file by file.
                continue
            # A newcomer's replay may be ahead of what the others' slow frames have brought.
            is_ahead = self._late_at(gap.to_ms)
            is_explained = {
                "first": gap.from_ms is None,
                "outage": self._outages.around(gap.from_ms, gap.to_ms)
                or self._missed.lost(gap.coin, (gap.from_ms or 0) - 2_000)
                or is_ahead,
                "drift": self._missed.lost(gap.coin, (gap.from_ms or 0) - 60_000),
                "late": any(at <= gap.to_ms + LATE_FOR_MS for at, _ in self.late_frames),
            }
            if not is_explained.get(gap.reason, False):
                near = [(one.from_ms, one.to_ms) for one in self._outages.all[-4:]]
                self.fail("gap without a reason", str(gap), gap.coin, f"outages {near}")

    def _late_at(self, at_ms: int) -> bool:
        """Return whether frames came late around that time."""
        return any(begin - 5_000 <= at_ms <= end + 5_000 for begin, end in self.late_frames)

    def _outages_judged(self) -> None:
        """See that an outage shows at once, and that it has left the gaps that it must."""
        outage = self._outages.open
        if outage is not None and outage.is_visible and len(self._outages.all) > 1:
            lasted_ms = now_ms() - outage.cut_ms
            is_late = lasted_ms > STALE_WITHIN_MS
            if is_late and coverage.covered_coins() and outage.is_dark and outage.to_ms is None:
                self.fail("still fresh", "", "", f"{lasted_ms} ms after {outage.cut_ms}")
        for place, outage in enumerate(self._outages.all[1:]):
            if place in self._judged or now_ms() < (outage.to_ms or now_ms()) + JUDGED_AFTER_MS:
                continue
            self._judged.add(place)
            self._judge(outage)

    def _judge(self, outage: Outage) -> None:
        end_ms = outage.to_ms or 0
        near = FeedGap.objects.filter(
            reason="outage", from_ms__lt=end_ms + 2_000, to_ms__gt=outage.from_ms - 2_000
        )
        noted = set(near.values_list("coin", flat=True))
        # One that lies in the next outage, a moment later, is that one's. A node's files bring what
        # no socket has; one that ends 2 ms before a block of theirs lies between two of them.
        nodes = self._missed.told_by_nodes
        own = {
            gap.coin
            for gap in near
            if not self._outages.later_has(outage, gap.from_ms or 0)
            and not nodes.trades(gap.coin, gap.to_ms + 2, gap.to_ms + 2)
        }
        known = FeedCursor.objects.exclude(
            coin__in=FeedGap.objects.filter(reason="first", to_ms__gt=outage.from_ms).values("coin")
        )
        for coin in known.values_list("coin", flat=True):
            told = nodes.trades(coin, outage.from_ms, end_ms)
            least, most = outage.missed_at_least(coin) - told, outage.missed_at_most(coin)
            span = f"{outage.from_ms} to {end_ms}: {least} to {most} trades"
            if least > REPLAY_TRADES and coin not in noted and is_perpetual(coin):
                self.fail("no gap", str(outage.from_ms), coin, span)
            if coin in noted:
                self.counts["outages' gaps"] += 1
                is_needless = most < NEEDLESS_BELOW and coin in own
                if is_needless and not self._missed.lost(coin, outage.from_ms - 60_000):
                    self.fail("needless gap", str(outage.from_ms), coin, span)

    # -- corrections ------------------------------------------------------------------------------

    def _corrections(self) -> None:
        """See that the feed was corrected only where it had missed something."""
        rows = Correction.objects.filter(pk__gt=self._last_correction).order_by("id")
        truth = Truth(self._exchange)
        for row in rows.select_related("trader"):
            self._last_correction = row.pk
            self.counts[f"corrections: {row.cause}"] += 1
            address, since_ms = row.trader.address, self._corrected[row.trader_id, row.coin]
            self._corrected[row.trader_id, row.coin] = row.state_time_ms
            true = truth.size(address, row.coin, row.state_time_ms)
            text = f"{row} at {row.state_time_ms}, {true} true"
            if true is not None and true == row.ledger_size:
                self.fail("correction of what was right", address, row.coin, text)
            is_missed = self._missed.explains(address, row.coin, since_ms - 10_000)
            gaps = FeedGap.objects.filter(coin=row.coin, to_ms__gt=since_ms - 10_000)
            is_explained = row.cause == Correction.Cause.GAP and gaps.exists()
            if not is_missed and not is_explained:
                self.fail("correction without a reason", address, row.coin, text)

    # -- the end ----------------------------------------------------------------------------------

    def final(self, most_traders: int) -> None:
        """Hold everything against the exchange as it is now: nothing moves any more."""
        for kind, count in self.positions().items():
            if kind != "fresh":
                self.fail("not whole at the end", kind, "", f"{count} positions")
        addresses = list(Trader.objects.order_by("?").values_list("address", "dexes"))
        for address, dexes in addresses[:most_traders]:
            true: dict[str, Decimal] = {}
            for dex in dexes:
                true |= self._exchange.account(address, dex)
            rows = self._web.positions(address)
            shown = {row["coin"]: Decimal(row["size"] or "NaN") for row in rows}
            self.counts["accounts compared at the end"] += 1
            for coin in sorted(shown.keys() | true.keys()):
                if shown.get(coin) != true.get(coin):
                    text = f"{shown.get(coin)} shown, {true.get(coin)} true"
                    self.fail("account differs", address, coin, text)
