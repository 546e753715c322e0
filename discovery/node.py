"""The process that imports a node's files, and follows those of a node that runs."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from django.db import DataError, Error, IntegrityError, connection

from discovery.importing import FileImport, Source, Summary
from discovery.nodeblocks import NodeBlock
from discovery.nodefiles import NodeFile, find
from hlcopy.clock import now_ms, utc_now
from traders import coverage
from traders.folding import REPLAYED_AFTER_MS
from traders.knowledge import is_perpetual
from traders.ledgers import KnownTraders
from traders.socket_report import SocketReport

logger = logging.getLogger(__name__)
RETRY_SECONDS = 0.5
#: How often a file is looked at for new lines, and the folder for new files.
LOOK_SECONDS, FOLDER_SECONDS = 0.05, 0.5
#: A block whose file has grown no further for so long is whole.
WHOLE_SECONDS = 0.3
#: Without a line for so long the node is not believed to run.
SILENT_SECONDS = 60
REPORT_SECONDS = 0.8
SHOW_SECONDS = 0.5


class NodeImport:
    """Imports files one after the other until `stop` is set."""

    def __init__(
        self, *, stop: threading.Event, show: Callable[[str], object] | None = None
    ) -> None:
        """`show` is given the line that a terminal sees twice a second."""
        self.summary = Summary()
        self._stop = stop
        self._show = show
        self._known = KnownTraders()
        self._source = Source()
        self._follows = False
        self._is_live = False
        self._since_at = utc_now()
        self._line_at = self._end_at = self._reported_at = time.monotonic()
        self._shown_at = 0.0
        host = socket.gethostname()[:40]
        self.name = f"node:{host}:{os.getpid()}"

    def run(self, paths: Sequence[Path]) -> None:
        """Count the files of the paths; raises OSError for what cannot be read."""
        files = find(paths)
        for place, file in enumerate(files):
            if self._stop.is_set():
                return
            is_over = any(_is_later(other, file) for other in files[place + 1 :])
            current = self._open(file)
            self._count(current, f"{place + 1}/{len(files)}")
            if not self._stop.is_set():
                self._persist(current, current.rest(is_over=is_over))
            self._close(current, is_over=is_over)

    def follow(self, paths: Sequence[Path]) -> None:
        """Count the files of the paths and what is appended to them, and new files, until `stop`.

        Raises OSError for what cannot be read.
        """
        self._follows = True
        done: set[NodeFile] = set()
        try:
            while not self._stop.is_set():
                files = [file for file in find(paths) if file not in done]
                if not files:
                    self._wait(FOLDER_SECONDS)
                    continue
                self._follow_file(files[0], paths)
                done.add(files[0])
        finally:
            self._is_live = False
            self._report(self._source, force=True)

    def _follow_file(self, file: NodeFile, paths: Sequence[Path]) -> None:
        """Count a file until a later one has begun."""
        current = self._open(file)
        is_over, looked_at = file.is_packed, 0.0
        while not self._stop.is_set():
            offset = current.lines.offset
            self._count(current, "following")
            now = time.monotonic()
            if current.lines.offset > offset:
                self._line_at = now
            # What was there before it went live is history, to its last block.
            if now - self._line_at > WHOLE_SECONDS or is_over or not self._is_live:
                self._persist(current, current.rest(is_over=is_over))
            if is_over:
                break
            if now - looked_at > FOLDER_SECONDS:
                # What was appended before the later file began is still read.
                is_over = any(_is_later(other, file) for other in find(paths))
                looked_at = now
            if not is_over:
                self._now_live()
                self._report(current.source)
                self._wait(LOOK_SECONDS)
        self._close(current, is_over=is_over)

    def _open(self, file: NodeFile) -> FileImport:
        while True:
            try:
                return FileImport(file, self._source, self.summary, self._known)
            except Error as failure:
                self._failed(failure)
                if self._stop.is_set():
                    raise

    def _close(self, current: FileImport, *, is_over: bool) -> None:
        if not self._stop.is_set():
            current.finish(is_over=is_over)
        self._source = current.source
        current.close()

    def _count(self, current: FileImport, place: str) -> None:
        """Count what the file has now."""
        while not self._stop.is_set():
            blocks = current.read()
            if not blocks:
                return
            self._persist(current, blocks)
            self._tell(current, place)

    def _persist(self, current: FileImport, blocks: Sequence[NodeBlock]) -> None:
        """Commit the blocks, however often PostgreSQL goes away; what it refuses is a gap."""
        refused = 0
        while blocks and not self._stop.is_set():
            try:
                current.commit(
                    blocks,
                    clock_ms=self._clock_ms(blocks),
                    reports=self._reports,
                    refused=refused > 1,
                )
            except (DataError, IntegrityError) as failure:
                # The numbers of traders that were rolled back, or that a restore has taken away.
                self._known.forget()
                if len(blocks) > 1:
                    half = len(blocks) // 2
                    self._persist(current, blocks[:half])
                    self._persist(current, blocks[half:])
                    return
                refused += 1
                logger.error("file=%s refused block: %s", current.file.path, failure)
            except Error as failure:
                self._failed(failure)
            else:
                self._reported_at = time.monotonic()
                return

    def _failed(self, failure: Error) -> None:
        logger.warning("database=away reason=%s", " ".join(str(failure).split())[:200])
        self._known.forget()
        connection.close()
        self._wait(RETRY_SECONDS)

    def _clock_ms(self, blocks: Sequence[NodeBlock]) -> int:
        """Return what makes events of blocks `replayed`: nobody acts on history."""
        is_new = time.monotonic() - self._end_at < REPLAYED_AFTER_MS / 1000
        return blocks[-1].time_ms if self._is_live and is_new else now_ms()

    def _now_live(self) -> None:
        """Note that the end of the newest file was reached."""
        self._end_at = time.monotonic()
        if not self._is_live:
            self._is_live, self._since_at, self._line_at = True, utc_now(), self._end_at

    def _reports(self, source: Source) -> list[SocketReport]:
        if not self._follows:
            return []
        is_silent = time.monotonic() - self._line_at > SILENT_SECONDS
        return [
            SocketReport(
                name=self.name,
                connected=self._is_live and not is_silent,
                since_at=self._since_at,
                coins=sorted(coin for coin in source.coins if is_perpetual(coin)),
                newest_block_ms=source.newest_ms,
                trades=self.summary.trades,
                bad_frames=self.summary.damaged,
                reconnects=0,
                last_error=f"no line for {SILENT_SECONDS} s" if is_silent else "",
            )
        ]

    def _report(self, source: Source, *, force: bool = False) -> None:
        """Keep the row young while nothing is counted."""
        now = time.monotonic()
        if not force and now - self._reported_at < REPORT_SECONDS:
            return
        self._reported_at = now
        try:
            coverage.report(self._reports(source))
        except Error as failure:
            self._failed(failure)

    def _tell(self, current: FileImport, place: str) -> None:
        now = time.monotonic()
        if self._show is None or now - self._shown_at < SHOW_SECONDS:
            return
        self._shown_at = now
        share = current.lines.share
        bar = ("#" * round(20 * share)).ljust(20, ".")
        day = current.file.path.parent.name
        self._show(
            f"{place} {day}/{current.file.path.name} [{bar}] {share:.0%} "
            f"{self.summary.fills:,} fills, {self.summary.trades:,} trades counted"
        )

    def _wait(self, seconds: float) -> None:
        self._stop.wait(seconds)


def _is_later(other: NodeFile, file: NodeFile) -> bool:
    """Return whether the other file is one of a later hour."""
    return other.hour is not None and file.hour is not None and other.hour > file.hour
