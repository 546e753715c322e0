"""What a snapshot says against the fills that the feed has brought (pure).

A snapshot has its own exchange time T, but REST and the feed may lag each other: the account may be
shown as it was at any *cut* between T - 5 s and T + 2 s. Each cut between two fills implies one
size. Where they all imply the same one, it is taken at its word; where they do not, several
snapshots are needed, until only one size is implied by all of them.

For a coin whose base is missing, the size is the one before the first fill that waits. For one that
is known, it is the difference between the snapshot and the ledger: 0 confirms the ledger, and
another one must be shown by a second snapshot, at least 5 s later, before it wins. Sizes that were
implied before a gap say nothing after it.

Fills are (time in milliseconds, signed size) in the order of the feed. Sizes are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from hlcopy.decimals import plain
from traders.positions import ZERO

BEFORE_MS = 5_000
AFTER_MS = 2_000
SECOND_LOOK_MS = 5_000

Move = tuple[int, Decimal]


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the fills are parted: `later` is the sum of those after it.

    `floor_ms`: up to there, and not beyond `T`, the snapshot certainly holds every fill.
    """

    at_ms: int
    floor_ms: int
    later: Decimal


@dataclass(frozen=True, slots=True)
class Doubt:
    """What stands in `Ledger.doubts` for one coin.

    `floor_ms`: None where the base is missing. `sizes`: those implied so far. `at_ms`: the newest
    snapshot's time. `cut_ms`: waiting fills up to there were let go. `was_fresh`: nothing spoke
    against the position before that snapshot.
    """

    floor_ms: int | None
    at_ms: int | None = None
    sizes: frozenset[Decimal] = frozenset()
    cut_ms: int | None = None
    was_fresh: bool = False

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Doubt:
        """Return what `written` has stored."""
        sizes = frozenset(Decimal(size) for size in stored.get("sizes", ()))
        return cls(
            *(stored.get("floor"), stored.get("at"), sizes, stored.get("cut")),
            was_fresh=stored.get("fresh", False),
        )

    def written(self) -> dict[str, Any]:
        """Return it as JSON; what is unknown is left out, but for the floor."""
        stored: dict[str, Any] = {"floor": self.floor_ms}
        if self.at_ms is not None:
            stored["at"] = self.at_ms
        if self.sizes:
            stored["sizes"] = sorted(plain(size) for size in self.sizes)
        if self.cut_ms is not None:
            stored["cut"] = self.cut_ms
        if self.was_fresh:
            stored["fresh"] = True
        return stored


def cuts(moves: Sequence[Move], time_ms: int, *, since_ms: int) -> list[Cut]:
    """Return the cuts at which a snapshot of `time_ms` may show the account, its own time first.

    `since_ms`: nothing at or before that time can be parted any more.
    """
    earliest_ms = max(time_ms - BEFORE_MS, since_ms)
    inside = sorted({at for at, _ in moves if earliest_ms < at <= time_ms + AFTER_MS})
    found = []
    for begin_ms, next_ms in zip([earliest_ms, *inside], [*inside, None], strict=True):
        later = sum((size for at, size in moves if at > begin_ms), ZERO)
        floor_ms = time_ms if next_ms is None else min(next_ms - 1, time_ms)
        found.append(Cut(begin_ms, floor_ms, later))
    # The snapshot's own time, then the nearest before it, then those behind it.
    return sorted(found, key=lambda cut: (cut.at_ms > time_ms, abs(cut.at_ms - time_ms)))


def implied(size: Decimal, total: Decimal, possible: Sequence[Cut]) -> dict[Decimal, Cut]:
    """Return each size that a snapshot implies at one of the cuts, with the best of them.

    `total`: what all fills come to: the ledger's own size now, or the sum of those that wait.
    """
    found: dict[Decimal, Cut] = {}
    for cut in possible:
        found.setdefault(size - total + cut.later, cut)
    return found


def narrowed(doubt: Doubt, sizes: frozenset[Decimal], time_ms: int) -> Doubt:
    """Return the doubt after one more snapshot: what both imply, or the news where nothing does."""
    common = doubt.sizes & sizes
    return replace(doubt, at_ms=time_ms, sizes=common or sizes)


def settled_difference(
    doubt: Doubt | None, sizes: frozenset[Decimal], time_ms: int, *, is_stale: bool
) -> Decimal | None:
    """Return how far the ledger is from what a snapshot implies, None where it needs another look.

    A fresh position is confirmed by any cut. Of a stale one trades may be missing, and then a cut
    at which the two happen to agree proves nothing: only one difference may be left.
    """
    if sizes == {ZERO} or (not is_stale and ZERO in sizes):
        return ZERO
    known = doubt.sizes if doubt is not None else frozenset()
    common = known & sizes if known else sizes
    if len(common) != 1:
        return None
    (difference,) = common
    if difference == 0:
        return difference
    seen_ms = doubt.at_ms if doubt is not None else None
    return difference if seen_ms is not None and time_ms >= seen_ms + SECOND_LOOK_MS else None


def settled_base(doubt: Doubt | None, sizes: frozenset[Decimal]) -> Decimal | None:
    """Return the size before the first waiting fill, None where it is still ambiguous."""
    known = doubt.sizes if doubt is not None else frozenset()
    common = known & sizes if known else sizes
    return next(iter(common)) if len(common) == 1 else None
