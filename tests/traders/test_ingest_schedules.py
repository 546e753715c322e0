"""Thousands of schedules of several stream processes: the book is never wrong where it is fresh."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from random import Random

import pytest
from django.db import transaction

from discovery.batching import Reports
from exchange.wire import TradesFrame
from tests.traders.feed_world import (
    MOST_TRADES,
    TRADERS,
    Exchange,
    FaultError,
    Process,
    Reference,
    Source,
    outside,
)
from tests.traders.fills import address
from tests.traders.schedules import SCHEDULES
from traders.cursors import Arrival, Gap
from traders.ingest import ingest
from traders.knowledge import dex_of, floor_ms, is_stale
from traders.models import (
    EventHead,
    FeedCursor,
    FeedGap,
    FeedSocket,
    Ledger,
    Position,
    PositionEvent,
    Trader,
    TraderDay,
    WaitingFill,
)

#: Each has two coins and is a schedule of its own.
DEXES = 100
TICKS = 20
SEEDS = SCHEDULES // DEXES
Pair = tuple[int, str]


class Schedule:
    """One run: every decision comes from the seed."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.exchange = Exchange(self.rng, DEXES)
        self.reference = Reference()
        self.processes = [self._process(number) for number in range(3)]
        self.ids: dict[int, int] = {}
        self.head = 0
        # What the events have told, from what the snapshots set.
        self.told: dict[Pair, Decimal] = defaultdict(Decimal)
        self.fresh_checked = 0
        # A late block that dies with its process is lost without a trace: the next one's replay
        # meets what came before it.
        self.tainted: set[str] = set()

    def _process(self, number: int) -> Process:
        return Process(f"host:{number}", self.rng.choice([60, 300, 10_000]))

    def tick(self) -> None:
        """Let every world trade a little, every source suffer, every process perhaps commit."""
        for coin in self.exchange.coins:
            room = MOST_TRADES - len(self.exchange.published[coin])
            if self.rng.random() < 0.5 and room > 0:
                count = self.rng.choice([1, 1, 1, 2, 3, 8, 40])
                self._deliver(TradesFrame(coin, self.exchange.publish(coin, min(count, room)), 0))
        for number in range(len(self.processes)):
            if self.rng.random() < 0.04:
                self.tainted |= self.processes[number].late()
                self.processes[number] = self._process(number)
        for process in self.processes:
            for source in process.sources:
                self._suffer(source)
            process.queue.report([source.report() for source in process.sources])
        self._snapshots()
        for process in self.processes:
            while self.rng.random() < 0.6:
                self._commit(process)
            self.check()

    def _deliver(self, frame: TradesFrame) -> None:
        for process in self.processes:
            for source in process.sources:
                if frame.coin in source.live:
                    if self.rng.random() < 0.03:
                        source.late.append(frame)
                        continue
                    source.intake.take(frame)
                    if self.rng.random() < 0.05:
                        source.intake.take(frame)

    def _suffer(self, source: Source) -> None:
        """Lose a few coins or all of them, subscribe to some of what is missing."""
        if self.rng.random() < 0.3:
            source.catch_up()
        if self.rng.random() < 0.04:
            source.lose(set(source.live), connected=False)
        elif self.rng.random() < 0.3:
            many = sorted(source.live)
            source.lose(set(self.rng.sample(many, len(many) // 5)), connected=True)
        for coin in sorted(set(self.exchange.coins) - source.live):
            if self.rng.random() < 0.4:
                newest = self.rng.choice([3, 30])
                source.subscribe(coin, self.exchange.published[coin], newest)

    def _commit(self, process: Process) -> None:
        """Take what waits in one transaction, which may fail, or seem to have failed."""
        queue = process.queue
        items, lost = queue.first(self.rng.choice([1, 20, 3000])), queue.lost
        arrivals = [item for item in items if isinstance(item, Arrival)]
        reports = [item for item in items if isinstance(item, Reports)]
        fate = self.rng.choice(["fails", "seems to fail", *["commits"] * 6])
        try:
            with transaction.atomic():
                ingest(
                    *(arrivals, process.known),
                    lost=lost,
                    reports=reports[-1].sockets if reports else (),
                )
                if fate == "fails":
                    raise FaultError
        except FaultError:
            process.known.forget()
            return
        self.reference.take(items)
        if fate == "seems to fail":
            process.known.forget()
        else:
            queue.done(len(items), lost)

    def _snapshots(self) -> None:
        """Let the exchange tell the state of some accounts, as of a time that nobody is beyond."""
        newest: dict[str, int] = defaultdict(int)
        for coin, at_ms in FeedCursor.objects.values_list("coin", "newest_ms"):
            newest[dex_of(coin)] = max(newest[dex_of(coin)], at_ms or 0)
        self.ids |= {int(one, 16): pk for one, pk in Trader.objects.values_list("address", "pk")}
        for number, pk in self.ids.items():
            with transaction.atomic():
                ledger = Ledger.objects.select_for_update().get(pk=pk)
                told: dict[str, int] = {}
                for dex in self.rng.sample(sorted(newest), len(newest) // 5):
                    at_ms = self.rng.randint(newest[dex], self.exchange.now_ms)
                    if at_ms > max(newest[dex], ledger.floors.get(dex, 0)):
                        told[dex] = at_ms
                ledger.floors |= told
                ledger.doubts = {
                    coin: doubt for coin, doubt in ledger.doubts.items() if dex_of(coin) not in told
                }
                ledger.save(update_fields=["floors", "doubts"])
                self._tell(number, pk, told)

    def _tell(self, number: int, pk: int, told: dict[str, int]) -> None:
        """Write what the exchange says of a trader's dexes, and when."""
        sizes = {
            coin: self.exchange.size(number, coin, told[dex_of(coin)])
            for coin in self.exchange.coins
            if dex_of(coin) in told
        }
        Position.objects.filter(trader_id=pk, dex__in=told).delete()
        WaitingFill.objects.filter(trader_id=pk, coin__in=sizes).delete()
        Position.objects.bulk_create(
            Position(trader_id=pk, dex=dex_of(coin), coin=coin, size=size, entry_price=Decimal(100))
            for coin, size in sizes.items()
            if size
        )
        self.told |= {(pk, coin): size for coin, size in sizes.items()}

    def check(self) -> None:
        """Compare the book with the truth."""
        gaps: dict[str, list[Gap]] = defaultdict(list)
        for row in FeedGap.objects.values_list("coin", "from_ms", "to_ms", "reason"):
            gaps[row[0]].append(Gap(*row))  # type: ignore[arg-type]  # the reason is one of them
        self._check_events()
        self._check_trades(gaps)
        self._check_positions(gaps)
        self._check_days()

    def _check_events(self) -> None:
        """Ids are gapless, and each event begins where the one before it ended."""
        rows = PositionEvent.objects.filter(id__gt=self.head).order_by("id")
        for event in rows:
            self.head += 1
            pair = (event.trader_id, event.coin)
            assert event.pk == self.head
            assert event.size_before == self.told[pair]
            self.told[pair] = event.size_after
        assert list(EventHead.objects.values_list("head", flat=True)) in ([], [self.head])

    def _late(self) -> set[str]:
        """Return the coins whose blocks are late, and not counted: nothing tells of them yet."""
        return self.tainted.union(*(process.late() for process in self.processes))

    def _check_trades(self, gaps: dict[str, list[Gap]]) -> None:
        """What counts is known; what does not lies in a gap, up to what the sockets claim."""
        until: dict[str, int] = defaultdict(int)
        rows = FeedSocket.objects.values_list("coins", "newest_block_ms", "lost")
        for coins, at_ms, lost in rows:
            for coin in coins:
                until[coin] = max(until[coin], at_ms or 0)
            for coin, lost_ms in lost.items():
                until[coin] = max(until[coin], lost_ms)
        late = self._late()
        for coin, newest_ms, trades, gap_until_ms in FeedCursor.objects.values_list(
            *("coin", "newest_ms", "trades", "gap_until_ms")
        ):
            counted = self.reference.counted[coin]
            assert trades == len(counted), coin
            if coin not in late:
                end = max(newest_ms or 0, until[coin])
                known = outside(gaps[coin], self.exchange.published[coin], end)
                assert known <= counted, coin
            assert gap_until_ms == max((gap.to_ms for gap in gaps[coin]), default=None)

    def _check_positions(self, gaps: dict[str, list[Gap]]) -> None:
        """Every position is what the events told, and, where it is fresh, the truth."""
        held = {
            (pk, coin): size
            for pk, coin, size in Position.objects.values_list("trader_id", "coin", "size")
        }
        assert held == {pair: size for pair, size in self.told.items() if size}
        late = self._late()
        ledgers = {ledger.pk: ledger for ledger in Ledger.objects.all()}
        numbers = {pk: number for number, pk in self.ids.items()}
        waiting = set(WaitingFill.objects.values_list("trader_id", "coin").distinct())
        for coin, newest_ms, gap_ms in FeedCursor.objects.values_list(
            *("coin", "newest_ms", "gap_until_ms")
        ):
            for pk, number in numbers.items():
                ledger = ledgers[pk]
                floor = floor_ms(ledger.floors, ledger.bases, ledger.doubts, coin)
                assert floor is None or (pk, coin) not in waiting
                if floor is None or coin in late or coin in ledger.doubts:
                    continue
                stale = is_stale(floor, gap_until_ms=gap_ms, is_doubted=False, is_followed=True)
                if not stale:
                    truth = self.exchange.size(number, coin, max(floor, newest_ms or 0))
                    assert held.get((pk, coin), 0) == truth, (coin, number)
                    self.fresh_checked += 1

    def _check_days(self) -> None:
        """The days' sums are those of the trades that count."""
        rows = TraderDay.objects.values_list(
            *("trader__address", "fills", "volume_usd", "taker_volume_usd", "wash_volume_usd")
        )
        stored = {int(user, 16): list(told) for user, *told in rows}
        assert stored == self.reference.days
        events = sum(TraderDay.objects.values_list("events", flat=True))
        assert events == self.head


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_schedule_makes_a_fresh_position_wrong_or_counts_a_trade_twice(transactional_db, seed):
    schedule = Schedule(seed)
    for _ in range(TICKS):
        schedule.tick()

    assert schedule.fresh_checked > 50 * DEXES
    assert FeedGap.objects.filter(reason="outage").exists()
    assert Trader.objects.count() == len(TRADERS)
    assert {one.address for one in Trader.objects.all()} == {address(one) for one in TRADERS}
