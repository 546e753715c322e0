"""Recordings keep what came, whatever the recorder died of."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.recording import Recorder, read_frames

FRAME = b'{"channel":"trades","data":[{"px":"1.10"}]}'


def record(path: Path, *frames: bytes) -> None:
    """Append the frames as one run of the process does."""
    recorder = Recorder(path)
    for frame in frames:
        recorder.add(0, frame)
        recorder.flush()
    recorder.close()


def frames_of(path: Path) -> list[bytes]:
    """Read them back."""
    return [recorded.raw for recorded in read_frames(path)]


@pytest.mark.parametrize("name", ["frames.jsonl", "frames.jsonl.gz"])
def test_frames_come_back_as_they_came(tmp_path, name):
    path = tmp_path / name
    odd = [b"Websocket connection established.", b"{not json", b'{"a":\n1}', b"[]", b""]
    record(path, FRAME, *odd)
    record(path, FRAME)

    assert frames_of(path) == [FRAME, *odd, FRAME]
    assert all(recorded.received_ns > 10**18 for recorded in read_frames(path))


@given(st.lists(st.text().map(str.encode) | st.just(FRAME), max_size=20))
def test_any_text_comes_back(tmp_path_factory, frames):
    path = tmp_path_factory.mktemp("recording") / "frames.jsonl.gz"
    record(path, *frames)

    assert frames_of(path) == frames


@pytest.mark.parametrize("name", ["frames.jsonl", "frames.jsonl.gz"])
@pytest.mark.parametrize("torn", [1, 5, 20])
def test_a_torn_end_costs_the_last_frame_alone(tmp_path, name, torn):
    path = tmp_path / name
    record(path, FRAME, b"the last")
    os.truncate(path, path.stat().st_size - torn)
    assert frames_of(path) in ([FRAME], [FRAME, b"the last"])

    record(path, b"after the cut")
    assert frames_of(path) == [FRAME, b"after the cut"]


def test_a_full_disk_ends_the_recording_and_nothing_else(caplog):
    recorder = Recorder(Path("/dev/full"))
    recorder.add(0, FRAME)
    recorder.flush()
    recorder.add(0, FRAME)
    recorder.close()

    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "No space left" in caplog.text


def test_the_recordings_of_others_are_read(tmp_path):
    path = tmp_path / "theirs.jsonl.gz"
    with gzip.open(path, "wt") as lines:
        lines.write('{"received_wall_ns":7,"channel":"pong","data":null}\n')
        lines.write('{"recv_ns":8,"frame":{"channel":"pong"}}\n')
        lines.write("not a line\n")
        lines.write('{"recv_ns":9}\n')

    assert [(one.received_ns, one.raw) for one in read_frames(path)] == [
        (7, b'{"channel":"pong","data":null}'),
        (8, b'{"channel":"pong"}'),
    ]
