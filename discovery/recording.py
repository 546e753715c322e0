"""Recorded frames: one JSON object a line, `{"recv_ns", "socket", "frame"}`, gzip by ending.

Frames that are not JSON stand as `text` instead of `frame`. Recordings of others, with
`{"received_wall_ns", "channel", "data"}`, are read too.
"""

from __future__ import annotations

import gzip
import logging
import time
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

import msgspec

logger = logging.getLogger(__name__)
CHUNK_BYTES = 1 << 20
#: A line can hold one frame, which the stream limits to 4 MiB.
MAX_LINE_BYTES = 16 << 20


class Recorded(msgspec.Struct, frozen=True):
    """One frame as it arrived, and the recording machine's time of arrival."""

    received_ns: int
    raw: bytes


class _Line(msgspec.Struct):
    recv_ns: int | None = None
    received_wall_ns: int | None = None
    frame: msgspec.Raw = msgspec.Raw()
    text: str | None = None
    channel: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Ours(msgspec.Struct, omit_defaults=True):
    recv_ns: int
    socket: int
    frame: msgspec.Raw | None = None
    text: str | None = None


_line = msgspec.json.Decoder(_Line)
_whole = msgspec.json.Decoder()


class Recorder:
    """Appends frames to a file; whatever the process dies of, earlier lines stay readable."""

    def __init__(self, path: Path) -> None:
        """Open the file, cutting a line or gzip member that a killed process left unfinished.

        Raises OSError where the file cannot be written.
        """
        self._path = path
        self._gzip = path.suffix == ".gz"
        self._stopped = False
        if path.is_file():
            with path.open("r+b") as file:
                file.truncate(whole_bytes(file, is_gzip=self._gzip))
        self._file = path.open("ab", buffering=0)
        self._waiting: list[bytes] = []

    def add(self, socket: int, raw: bytes) -> None:
        """Keep one frame, received now, until the next flush."""
        if self._stopped:
            return
        now = time.time_ns()
        try:
            _whole.decode(raw)
            if b"\n" in raw or raw != raw.strip():
                raise ValueError("not exactly one value on one line")
            line = _Ours(recv_ns=now, socket=socket, frame=msgspec.Raw(raw))
        except (ValueError, RecursionError):
            line = _Ours(recv_ns=now, socket=socket, text=raw.decode("utf-8", "replace"))
        self._waiting.append(msgspec.json.encode(line) + b"\n")

    def flush(self) -> None:
        """Write what waits: a gzip member of its own, so that a kill costs the last second only.

        A full disk ends the recording, not the discovery.
        """
        if not self._waiting:
            return
        lines, self._waiting = b"".join(self._waiting), []
        rest = memoryview(gzip.compress(lines, 3) if self._gzip else lines)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as failure:
            self._stopped = True
            logger.error("recording stopped: %s: %s", self._path, failure.strerror)

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()


def whole_bytes(file: BinaryIO, *, is_gzip: bool) -> int:
    """Return the length of the part of the file that ends with a whole line or gzip member."""
    file.seek(0)
    end = position = 0
    member = zlib.decompressobj(wbits=31)
    while chunk := file.read(CHUNK_BYTES):
        if not is_gzip:
            end = position + chunk.rfind(b"\n") + 1 if b"\n" in chunk else end
            position += len(chunk)
            continue
        position += len(chunk)
        try:
            while chunk:
                member.decompress(chunk)
                chunk = member.unused_data
                if member.eof:
                    end = position - len(chunk)
                    member = zlib.decompressobj(wbits=31)
        except zlib.error:
            break
    return end


def read_frames(path: Path) -> Generator[Recorded]:
    """Return the frames of a recording, oldest first; unreadable lines are logged and left out.

    Raises OSError at once where the file cannot be opened.
    """
    return _frames(gzip.open(path) if path.suffix == ".gz" else path.open("rb"), path)


def _frames(lines: BinaryIO | gzip.GzipFile, path: Path) -> Generator[Recorded]:
    unreadable = 0
    with lines:
        try:
            while line := lines.readline(MAX_LINE_BYTES):
                try:
                    yield _read(line)
                except (ValueError, RecursionError):
                    unreadable += 1
        except (EOFError, zlib.error, gzip.BadGzipFile):
            logger.warning("file=%s ends in the middle of a line", path)
    if unreadable:
        logger.warning("file=%s unreadable_lines=%d", path, unreadable)


def _read(raw: bytes) -> Recorded:
    """Turn one line of any of the forms into the frame as it came; raises ValueError."""
    line = _line.decode(raw)
    received_ns = line.recv_ns or line.received_wall_ns or 0
    if line.text is not None:
        return Recorded(received_ns, line.text.encode())
    if line.channel is not None:
        return Recorded(
            received_ns, msgspec.json.encode({"channel": line.channel, "data": line.data})
        )
    if not bytes(line.frame):
        raise ValueError("neither a frame nor a text")
    return Recorded(received_ns, bytes(line.frame))
