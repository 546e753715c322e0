"""A snapshot against what the feed has told of the same positions: `traders.doubts` applied.

1. A coin that nobody follows: the snapshot tells it, at once.
2. A coin whose base is missing: it is taken once the snapshots leave no doubt (where it took two,
   it is stale until another agrees); the fills that waited become history, and no events.
3. A coin that is known: confirmed; or of another size, which a second snapshot must show as well.
   Then it wins, as a correction.

What has happened after the snapshot's time is carried on from what it says. All of it is part of
the transaction that records the snapshot, under the lock of the trader's ledger row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from django.db.models.functions import Now
from msgspec.structs import replace

from traders import doubts, folding, positions
from traders.backsolving import WaitedFill, beginning
from traders.carrying import blocks, carried_on, held_as
from traders.doubts import Cut, Doubt
from traders.episodes import EXACT, Episode, usd
from traders.folding import Block, Holding
from traders.knowledge import dex_of, floor_ms
from traders.models import Correction, Healing, Ledger, Position
from traders.outcome import Outcome
from traders.positions import ZERO, Change
from traders.since import Since
from traders.statistics import episode_of, keep_episode


@dataclass(slots=True)
class Settled:
    """What one dex's snapshot comes to.

    `told`: the rows as it tells them, at its time; `rows`: those to write, as things are now, None
    where nothing is held; `before`: what was held, of the coins that are settled.
    """

    dex: str
    before: dict[str, Position] = field(default_factory=dict)
    told: dict[str, Position] = field(default_factory=dict)
    rows: dict[str, Position | None] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    corrections: list[Correction] = field(default_factory=list)
    history: Outcome = field(default_factory=Outcome)
    solved: list[str] = field(default_factory=list)
    later_pnl: Decimal = ZERO
    floor_ms: int = 0
    look_again: Healing | None = None


class Reconciling:
    """One trader's snapshot of one dex, coin by coin."""

    def __init__(
        self,
        ledger: Ledger,
        dex: str,
        time_ms: int,
        *,
        before: Mapping[str, Position],
        told: Mapping[str, Position],
        followed: Collection[str],
        since: Since,
    ) -> None:
        """Take the rows held and those that the snapshot tells; `followed`: covered coins."""
        self._ledger = ledger
        self._dex = dex
        self._time_ms = time_ms
        self._before = before
        self._told = told
        self._followed = followed
        self._since = since
        self._settled = Settled(dex, floor_ms=time_ms)

    def settle(self) -> Settled:
        """Judge every coin, and bring the ledger's floors and doubts to what follows."""
        # What was flat before and after has been looked at too where it moved between.
        touched = self._ledger.doubts.keys() | self._since.waiting.keys() | self._since.moves.keys()
        touched = {coin for coin in touched if dex_of(coin) == self._dex}
        with localcontext(EXACT):
            for coin in sorted(self._before.keys() | self._told.keys() | touched):
                if self._floor(coin) is None:
                    self._settle_base(coin)
                else:
                    self._settle_known(coin)
        self._settled.later_pnl += self._since.realised_after(self._dex, self._time_ms)
        floors, bases = self._ledger.floors, self._ledger.bases
        floor = floors[self._dex] = max(self._settled.floor_ms, floors.get(self._dex, 0))
        for coin in [c for c, at in bases.items() if dex_of(c) == self._dex and at <= floor]:
            del bases[coin]
        return self._settled

    def _floor(self, coin: str) -> int | None:
        ledger = self._ledger
        return floor_ms(ledger.floors, ledger.bases, ledger.doubts, coin)

    def _doubt(self, coin: str) -> Doubt | None:
        stored = self._ledger.doubts.get(coin)
        if stored is None:
            return None
        doubt = Doubt.read(stored)
        if (doubt.at_ms or 0) <= (self._since.gaps.get(coin) or 0):
            return Doubt(doubt.floor_ms, cut_ms=doubt.cut_ms)
        return doubt

    def _told_size(self, coin: str) -> Decimal:
        return self._told[coin].size if coin in self._told else ZERO

    def _wait(self, coin: str, doubt: Doubt, why: Healing) -> None:
        self._ledger.doubts[coin] = doubt.written()
        if self._settled.look_again is not Healing.DOUBT:
            self._settled.look_again = why

    def _settle_base(self, coin: str) -> None:
        """Take a base that was missing, or wait for a snapshot that leaves less doubt."""
        fills = self._since.waiting.get(coin, [])
        doubt = self._doubt(coin)
        known_from_ms = (doubt.cut_ms if doubt else None) or 0
        if known_from_ms > self._time_ms - doubts.BEFORE_MS:
            self._wait(coin, doubt or Doubt(None), Healing.BASE)
            return
        total = sum((fill.size for fill in fills), ZERO)
        moves = [(fill.time_ms, fill.size) for fill in fills]
        possible = doubts.cuts(moves, self._time_ms, since_ms=0)
        sizes = doubts.implied(self._told_size(coin), total, possible)
        base: Decimal | None = next(iter(sizes))
        if coin in self._followed:
            base = doubts.settled_base(doubt, frozenset(sizes))
        if base is None:
            news = doubts.narrowed(doubt or Doubt(None), frozenset(sizes), self._time_ms)
            self._wait(coin, news, Healing.BASE)
            return
        self._take_base(coin, fills, sizes[base])
        if coin in self._followed and len(sizes) > 1:
            # It took an older one to tell, and the feed may not show what came between (a
            # deleveraging): another one must bear it out.
            doubt = Doubt(self._floor(coin), self._time_ms, frozenset([ZERO]))
            self._wait(coin, doubt, Healing.DOUBT)

    def _take_base(self, coin: str, fills: Sequence[WaitedFill], cut: Cut) -> None:
        """Make a position of what the snapshot tells and of the fills before and after it."""
        earlier = [fill for fill in fills if fill.time_ms <= cut.at_ms]
        later = fills[len(earlier) :]
        told = self._told.get(coin)
        holding = Holding(self._history(coin, earlier, told))
        for block in blocks(self._ledger.pk, coin, later):
            self._fold(block, holding)
        self._settled.solved.append(coin)
        self._put(coin, cut, None, holding.episode)
        self._absorb(coin, fills)
        row = self._settled.told.get(coin)
        if row is not None:
            keep_episode(row, holding.episode)

    def _absorb(self, coin: str, fills: Sequence[WaitedFill]) -> None:
        """Let the coin's own floor be later than the fills that are no events: none can be parted.

        Whatever comes later has not happened before two seconds after the snapshot.
        """
        if not fills:
            return
        ledger, newest_ms = self._ledger, fills[-1].time_ms
        if coin in ledger.doubts:
            ledger.doubts[coin]["floor"] = max(newest_ms, ledger.doubts[coin]["floor"])
        else:
            ledger.bases[coin] = max(newest_ms, self._time_ms + doubts.AFTER_MS)

    def _history(
        self, coin: str, fills: Sequence[WaitedFill], told: Position | None
    ) -> Episode | None:
        """Tell the fills before the snapshot; return the episode that it finds open."""
        gap_until_ms = self._since.gaps.get(coin) or 0
        whole = [fill for fill in fills if fill.time_ms > gap_until_ms]
        size = self._told_size(coin)
        entry = told.entry_price if told is not None else ZERO
        began = beginning(coin, size - sum((fill.size for fill in whole), ZERO), whole, entry)
        if began is None:
            return episode_of(told) if told is not None else None
        holding = Holding(began.episode)
        for block in blocks(self._ledger.pk, coin, whole[began.first :]):
            self._fold(block, holding)
        if holding.episode is None or told is None:
            return None
        # The exchange rounds its own averages; what it tells is what it reckons with.
        return replace(holding.episode, entry_price=told.entry_price)

    def _fold(self, block: Block, holding: Holding) -> None:
        outcome = self._settled.history
        sums = outcome.day(block.trader_id, block.time_ms)
        for group in block.groups:
            sums.unknown_volume_usd -= usd(group.notional) or ZERO
            for _change, step, _before in folding.steps(holding, block, group):
                folding.take_step(step, block.trader_id, sums, outcome)
                if block.time_ms > self._time_ms:
                    self._settled.later_pnl += (step.realised or ZERO) - step.fee

    def _settle_known(self, coin: str) -> None:
        """Confirm what the ledger has, or correct it where that needs no other look."""
        floor, held = self._floor(coin) or 0, self._before.get(coin)
        if self._time_ms <= floor:
            # A node has told more since.
            self._settled.before |= {} if held is None else {coin: held}
            self._settled.told |= {coin: self._told[coin]} if coin in self._told else {}
            return
        moves = [(move.time_ms, move.size) for move in self._since.moves.get(coin, ())]
        possible = doubts.cuts(moves, self._time_ms, since_ms=floor)
        sizes = doubts.implied(self._told_size(coin), held.size if held else ZERO, possible)
        doubt = self._doubt(coin) or Doubt(floor)
        difference: Decimal | None = ZERO if ZERO in sizes else next(iter(sizes))
        if coin in self._followed:
            is_stale = coin in self._ledger.doubts or floor <= (self._since.gaps.get(coin) or 0)
            if self._time_ms - doubts.BEFORE_MS < floor and (is_stale or difference != ZERO):
                self._pass_over(coin, doubt if is_stale else None)
                return
            if not is_stale:
                doubt = Doubt(floor, was_fresh=True)
            difference = doubts.settled_difference(
                doubt, frozenset(sizes), self._time_ms, is_stale=is_stale
            )
        if difference == ZERO:
            self._put(coin, sizes[ZERO], held, episode_of(held) if held else None)
            return
        if difference is None:
            if doubt.at_ms is None or self._time_ms >= doubt.at_ms + doubts.SECOND_LOOK_MS:
                doubt = doubts.narrowed(doubt, frozenset(sizes), self._time_ms)
            self._wait(coin, doubt, Healing.DOUBT)
            return
        self._correct(coin, sizes[difference], held, difference, doubt)

    def _pass_over(self, coin: str, doubt: Doubt | None) -> None:
        """Leave a coin as it is: the snapshot may show it as it was before its own floor."""
        if doubt is not None:
            self._ledger.doubts[coin] = doubt.written()
        self._settled.look_again = self._settled.look_again or Healing.DOUBT

    def _correct(
        self, coin: str, cut: Cut, held: Position | None, difference: Decimal, doubt: Doubt
    ) -> None:
        """Let the snapshot win: the change is told, and the episode is no longer whole."""
        told_size = self._told_size(coin)
        is_feeds = coin in self._followed
        if is_feeds:
            gap_until_ms = self._since.gaps.get(coin)
            # A gap may be noted between the two looks, and lie before them.
            is_missed = gap_until_ms is None or (doubt.floor_ms or 0) <= gap_until_ms
            is_drift = doubt.was_fresh and not is_missed
            self._settled.corrections.append(
                Correction(
                    trader_id=self._ledger.pk,
                    coin=coin,
                    corrected_at=Now(),
                    state_time_ms=self._time_ms,
                    ledger_size=told_size - difference,
                    snapshot_size=told_size,
                    cause=Correction.Cause.DRIFT if is_drift else Correction.Cause.GAP,
                )
            )
            if held is not None:
                held.opened_at_ms, held.peak_size = None, held.peak_size or abs(held.size)
        row = self._put(coin, cut, held, None)
        self._settled.changes += positions.diff(held_as(coin, held), held_as(coin, row))

    def _put(
        self, coin: str, cut: Cut, held: Position | None, episode: Episode | None
    ) -> Position | None:
        """Write down what is held now: what the snapshot tells, carried on by what came later."""
        settled = self._settled
        settled.floor_ms = min(settled.floor_ms, cut.floor_ms)
        self._ledger.doubts.pop(coin, None)
        if coin in self._since.gaps and coin not in self._followed:
            # The feed has lost it: what it brings once it is back may be in the snapshot or not.
            self._ledger.doubts[coin] = Doubt(cut.floor_ms).written()
        if held is not None:
            settled.before[coin] = held
        told = self._told.get(coin)
        if told is not None:
            settled.told[coin] = told
        row = self._carried_on(coin, told, cut)
        if row is not None:
            keep_episode(row, episode)
        settled.rows[coin] = row
        return row

    def _carried_on(self, coin: str, told: Position | None, cut: Cut) -> Position | None:
        """Return the row of now; what depends on the size is unknown where that has changed."""
        fills = [
            (fill.size, fill.price)
            for fill in (*self._since.moves.get(coin, ()), *self._since.waiting.get(coin, ()))
            if fill.time_ms > cut.at_ms
        ]
        return carried_on(told or self._flat(coin), fills) if fills else told

    def _flat(self, coin: str) -> Position:
        return Position(trader_id=self._ledger.pk, dex=self._dex, coin=coin, size=ZERO)
