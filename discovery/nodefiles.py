"""A node's files of fills: which there are, in what order, and their lines.

A node writes `.../hourly/{yyyymmdd}/{hour}`, one file an hour (UTC, hours without a leading zero);
archives pack them as `.lz4` or `.gz`.
"""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, cast

import lz4.frame

#: A line can hold one block; the busiest on record have a few thousand fills of 500 bytes.
MAX_LINE_BYTES = 16 << 20
CHUNK_BYTES = 1 << 20
PACKED = {".gz", ".lz4"}
HOUR = timedelta(hours=1)
#: What the packings raise where a file is cut or damaged; OSError: gzip's own.
_DAMAGE = (EOFError, zlib.error, OSError, RuntimeError)


@dataclass(frozen=True, slots=True, order=True)
class NodeFile:
    """A file; `hour` is its beginning, None where its path does not tell."""

    path: Path
    hour: datetime | None = None

    @property
    def is_packed(self) -> bool:
        """Whether nothing is appended to it any more."""
        return self.path.suffix in PACKED

    @property
    def size(self) -> int:
        """Its bytes; -1 where it is gone."""
        try:
            return self.path.stat().st_size
        except OSError:
            return -1

    def before(self) -> NodeFile | None:
        """Return the file of the hour before it, beside it, whether it is there or not."""
        if self.hour is None:
            return None
        hour = self.hour - HOUR
        name = f"{hour.hour}{self.path.suffix if self.is_packed else ''}"
        return NodeFile(self.path.parents[1] / f"{hour:%Y%m%d}" / name, hour)

    def follows(self, other: NodeFile | None) -> bool:
        """Whether it goes on where the other one ends."""
        if other is None or other.hour is None or self.hour is None:
            return False
        return self.hour == other.hour + HOUR


def find(paths: Sequence[Path]) -> list[NodeFile]:
    """Return the files of these paths: a folder's in order of date and hour.

    Raises FileNotFoundError for a path that is not there, or a folder without such a file.
    """
    found: list[NodeFile] = []
    for path in paths:
        absolute = path.resolve()
        if not absolute.exists():
            raise FileNotFoundError(2, "there is no such file or folder", str(path))
        if absolute.is_dir():
            inside = sorted(_hourly(absolute), key=lambda file: (file.hour, file.path))
            if not inside:
                raise FileNotFoundError(2, "no {date}/{hour} file of a node in there", str(path))
            found += inside
        else:
            found.append(NodeFile(absolute, _hour_of(absolute)))
    return list(dict.fromkeys(found))


def _hourly(folder: Path) -> list[NodeFile]:
    files = [NodeFile(path, _hour_of(path)) for path in folder.rglob("*") if path.is_file()]
    return [file for file in files if file.hour is not None]


def _hour_of(path: Path) -> datetime | None:
    name = path.name.removesuffix(path.suffix) if path.suffix in PACKED else path.name
    try:
        day = datetime.strptime(path.parent.name, "%Y%m%d").replace(tzinfo=UTC)
        return day + int(name) * HOUR if name.isdecimal() and int(name) < 24 else None
    except ValueError:
        return None


def digest_of(file: NodeFile) -> str:
    """Return what tells the file from another one at its path, "" before it has a line.

    Raises OSError.
    """
    with closing(Lines(file)) as lines:
        first = lines.next()
        return "" if first is None else sha256(first).hexdigest()


class Lines:
    """The whole lines of a file, from an offset on; offsets count bytes of its text.

    `trouble`: why the rest of a packed file cannot be read; empty: nothing is wrong. Opening raises
    OSError.
    """

    def __init__(self, file: NodeFile) -> None:
        """Open the file at its beginning."""
        self._raw = file.path.open("rb")
        self._size = max(1, file.path.stat().st_size)
        self._text: BinaryIO = self._raw
        if file.path.suffix == ".gz":
            self._text = cast("BinaryIO", gzip.GzipFile(fileobj=self._raw, mode="rb"))
        elif file.path.suffix == ".lz4":
            self._text = cast("BinaryIO", lz4.frame.LZ4FrameFile(self._raw, mode="rb"))
        self._is_packed = file.is_packed
        self.offset = 0
        self.trouble = ""

    def close(self) -> None:
        """Close the file."""
        self._text.close()
        self._raw.close()

    @property
    def share(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return min(1.0, self._raw.tell() / self._size)

    def skip_to(self, offset: int) -> None:
        """Go on from there; only what lies ahead can be reached in a packed file."""
        if not self._is_packed:
            self._text.seek(offset)
            self.offset = offset
            return
        while self.offset < offset and (
            chunk := self._read(min(CHUNK_BYTES, offset - self.offset))
        ):
            self.offset += len(chunk)

    def next(self) -> bytes | None:
        """Return the next line, None where no whole one follows (yet)."""
        line = self._read_line()
        if line.endswith(b"\n") or len(line) >= MAX_LINE_BYTES:
            self.offset += len(line)
            return line
        if line and self._is_packed:
            self.trouble = self.trouble or "ends in the middle of a line"
        elif line:
            self._text.seek(self.offset)
        return None

    def has_rest(self) -> bool:
        """Whether a file that is not packed ends in the middle of a line."""
        return not self._is_packed and os.fstat(self._raw.fileno()).st_size > self.offset

    def _read_line(self) -> bytes:
        try:
            return self._text.readline(MAX_LINE_BYTES)
        except _DAMAGE as failure:
            self._note(failure)
            return b""

    def _read(self, count: int) -> bytes:
        try:
            return self._text.read(count)
        except _DAMAGE as failure:
            self._note(failure)
            return b""

    def _note(self, failure: BaseException) -> None:
        is_cut = isinstance(failure, EOFError)
        self.trouble = "is cut off" if is_cut else f"cannot be read: {failure}"[:200]
