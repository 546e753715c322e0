"""Counts a node's files of fills, each once: `manage.py importfills`.

Batches of whole blocks go through the same door as the sockets' frames. How far a file is counted
is written in the same transaction, so an import that is cut off, whenever, goes on from there.

A source *carries* a coin from its first block on, as long as file follows on file without a hole.
That first block is held against the coin's cursor, like a socket's replay; what nothing proves to
be whole is a gap. So is what could not be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from discovery.nodeblocks import AHEAD_MS, Blocks, NodeBlock, trades_of
from discovery.nodefiles import Lines, NodeFile, digest_of
from exchange.errors import WireError
from exchange.node import decode_line
from hlcopy.clock import to_ms, utc_now
from traders.cursors import Arrival, Gap
from traders.ingest import Ingested, ingest
from traders.knowledge import is_perpetual
from traders.ledgers import KnownTraders
from traders.models import FeedCursor, ImportedFile
from traders.socket_report import SocketReport
from traders.writing import writing

#: Fills of a batch, two for each trade: a transaction stays far below the time it may take.
BATCH_FILLS = 4000
#: So many damaged lines are named.
MOST_NAMED = 5


class TakenOverError(Exception):
    """Another process counts the same file."""


@dataclass(slots=True)
class Source:
    """What one row of files has brought so far, up to and with `newest_ms`, without a hole."""

    file: NodeFile | None = None
    coins: frozenset[str] = frozenset()
    newest_ms: int | None = None


@dataclass(slots=True)
class Summary:
    """What an import has done."""

    files: int = 0
    lines: int = 0
    fills: int = 0
    trades: int = 0
    new_traders: int = 0
    events: int = 0
    gaps: int = 0
    damaged: int = 0
    named: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return one line for people."""
        return (
            f"imported {self.files:,} files: {self.lines:,} lines, {self.fills:,} fills, "
            f"{self.trades:,} trades counted, {self.new_traders:,} new traders, "
            f"{self.events:,} events, {self.gaps:,} gaps, {self.damaged:,} damaged"
        )

    def name(self, file: NodeFile, line: int, reason: str) -> None:
        """Name what is damaged, the first few of it."""
        if len(self.named) < MOST_NAMED:
            self.named.append(f"{file.path}:{line}: {reason}")


class FileImport:
    """One file: read and counted from where it was left."""

    def __init__(
        self, file: NodeFile, source: Source, summary: Summary, known: KnownTraders
    ) -> None:
        """Open the file and find the place; raises OSError and django.db.Error."""
        self.file = file
        self._summary = summary
        self._known = known
        self._digest = digest_of(file)
        row = ImportedFile.objects.filter(pk=str(file.path)).first()
        if row is None or row.digest != self._digest:
            row = ImportedFile(path=str(file.path), digest=self._digest)
            self.source = _going_on(file, source)
        else:
            self.source = Source(file, frozenset(row.coins), row.newest_ms)
        self._row = row
        self._number = row.lines
        self._blocks = Blocks(self.source.newest_ms)
        self.lines = Lines(file)
        # Nothing is ever appended to a packed file.
        self._is_counted = row.is_finished and file.is_packed
        if not self._is_counted:
            self.lines.skip_to(row.offset)

    def read(self) -> list[NodeBlock]:
        """Return the next batch of blocks, fewer or none at the file's (present) end."""
        blocks: list[NodeBlock] = []
        fills = 0
        while fills < BATCH_FILLS and not self._is_counted:
            begin = self.lines.offset
            raw = self.lines.next()
            if raw is None:
                break
            self._number += 1
            self._summary.lines += 1
            found = self._take(raw, begin)
            fills += sum(len(block.fills) for block in found)
            blocks += found
        return blocks

    def rest(self, *, is_over: bool) -> list[NodeBlock]:
        """Return the block that waits for more lines of its time, if none will come.

        `is_over`: nothing is appended to the file any more. Half a line at its end may be of the
        block: a trade stands there twice, and half of one must not count for the whole.
        """
        if self.lines.has_rest() and not is_over:
            return []
        now_ms = to_ms(utc_now())
        return self._blocks.rest(self.lines.offset, self._number, before_ms=now_ms + AHEAD_MS)

    def _take(self, raw: bytes, begin: int) -> list[NodeBlock]:
        try:
            line = decode_line(raw)
        except WireError as error:
            self._blocks.damage()
            self._wrong(str(error))
            return []
        found, wrong = self._blocks.add(
            line, begin=begin, end=self.lines.offset, number=self._number
        )
        if wrong:
            self._wrong(wrong)
        return found

    def _wrong(self, reason: str) -> None:
        self._summary.damaged += 1
        self._summary.name(self.file, self._number, reason)

    def commit(
        self,
        blocks: Sequence[NodeBlock],
        *,
        clock_ms: int,
        reports: Callable[[Source], Sequence[SocketReport]] = lambda _: (),
        refused: bool = False,
    ) -> None:
        """Count the blocks in one transaction; raises django.db.Error with nothing written.

        `reports`: what the source says of itself when they are counted. `refused`: they cannot be
        written; what they would have brought is a gap.
        """
        if not blocks:
            return
        arrivals, after = _arrivals(blocks, self.source, clock_ms)
        row = self._row_after(blocks, after)
        lost = _lost(blocks, self.source.newest_ms, after.coins, all_of_it=refused)
        with writing():
            self._lock(row.offset)
            row.save(force_update=True)
            done = ingest(
                () if refused else arrivals,
                self._known,
                lost=_unknown(lost),
                reports=reports(after),
            )
        self._row, self.source = row, after
        self._sum_up(blocks, done)

    def finish(self, *, is_over: bool) -> None:
        """Note at the file's end whether the next one goes on from here.

        `is_over`: nothing is appended to it any more.
        """
        trouble = self.lines.trouble
        if self.lines.has_rest():
            trouble = "ends in the middle of a line"
            if not is_over:
                self._summary.name(
                    self.file, self._number + 1, f"{trouble}: left for the next time"
                )
        if trouble and (is_over or self.file.is_packed):
            self._number += 1
            self._wrong(trouble)
        if not trouble and self._blocks.is_clean and (is_over or self.file.is_packed):
            ImportedFile.objects.filter(pk=self._row.pk).update(is_finished=True)
        else:
            self.source = Source()
        self._summary.files += 1

    def close(self) -> None:
        """Close the file."""
        self.lines.close()

    def _row_after(self, blocks: Sequence[NodeBlock], after: Source) -> ImportedFile:
        return ImportedFile(
            path=str(self.file.path),
            digest=self._digest,
            offset=blocks[-1].end,
            lines=blocks[-1].line,
            damaged=self._row.damaged + sum(block.damaged for block in blocks),
            newest_ms=after.newest_ms,
            coins=sorted(after.coins),
        )

    def _lock(self, target: int) -> None:
        """Lock the file's row, first of all; raises TakenOverError if it went on without us."""
        path = str(self.file.path)
        ImportedFile.objects.bulk_create(
            [ImportedFile(path=path, digest=self._digest)], ignore_conflicts=True
        )
        stored = ImportedFile.objects.select_for_update(no_key=True).get(pk=path)
        offset = stored.offset if stored.digest == self._digest else 0
        # At `target` it stands if our own commit came through and its answer did not.
        if offset not in {self._row.offset, target}:
            raise TakenOverError(f"{path}: another import counts it already")

    def _sum_up(self, blocks: Sequence[NodeBlock], done: Ingested) -> None:
        summary = self._summary
        summary.fills += sum(len(block.fills) for block in blocks)
        summary.trades += done.trades
        summary.new_traders += done.new_traders
        summary.events += done.events
        summary.gaps += done.gaps


def _going_on(file: NodeFile, source: Source) -> Source:
    """Return what is carried into a file that nobody has begun yet."""
    if file.follows(source.file):
        return Source(file, source.coins, source.newest_ms)
    before = file.before()
    row = before and ImportedFile.objects.filter(pk=str(before.path), is_finished=True).first()
    # A plain file may have grown after it was read to its end.
    if row and before and (before.is_packed or before.size == row.offset):
        return Source(file, frozenset(row.coins), row.newest_ms)
    return Source(file)


def _arrivals(
    blocks: Iterable[NodeBlock], source: Source, clock_ms: int
) -> tuple[list[Arrival], Source]:
    """Return the blocks' frames, and the source after them."""
    arrivals = []
    coins, newest_ms = set(source.coins), source.newest_ms
    for block in blocks:
        newest_ms = max(newest_ms or 0, block.time_ms)
        for coin, (trades, starts) in trades_of(block.fills).items():
            arrivals.append(
                Arrival(
                    coin,
                    tuple(trades),
                    is_replay=coin not in coins,
                    clock_ms=clock_ms,
                    starts=tuple(starts),
                )
            )
            coins.add(coin)
    return arrivals, Source(source.file, frozenset(coins), newest_ms)


def _lost(
    blocks: Iterable[NodeBlock], before_ms: int | None, coins: Iterable[str], *, all_of_it: bool
) -> list[Gap]:
    """Return the gaps of what was damaged: nobody knows of which coin, so they are all coins'.

    `before_ms`: the time of the block before these.
    """
    begin_ms = end_ms = None
    for block in blocks:
        if block.damaged or all_of_it:
            if begin_ms is None:
                # Both neighbours may miss a fill.
                begin_ms = (before_ms or block.time_ms) - 1
            end_ms = block.time_ms
        before_ms = block.time_ms
    if begin_ms is None or end_ms is None:
        return []
    return [Gap(coin, begin_ms, end_ms, "refused") for coin in coins if is_perpetual(coin)]


def _unknown(gaps: Sequence[Gap]) -> list[Gap]:
    """Return the gaps of coins whose trades of that time nobody has counted."""
    if not gaps:
        return []
    newest = dict(
        FeedCursor.objects.filter(coin__in=[gap.coin for gap in gaps]).values_list(
            "coin", "newest_ms"
        )
    )
    return [gap for gap in gaps if (newest.get(gap.coin) or 0) <= gap.to_ms]
