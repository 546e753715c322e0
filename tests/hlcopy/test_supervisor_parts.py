"""The supervisor's parts that need no process."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from hlcopy.management.commands.status import table
from hlcopy.supervisor.console import Console
from hlcopy.supervisor.program import ProcfileError, read_procfile
from hlcopy.supervisor.record import (
    ProgramRecord,
    RunRecord,
    dead_seconds,
    is_running,
    read_record,
    take_lock,
    write_record,
)

RECORD = RunRecord(
    supervisor_pid=7,
    guardian_pid=6,
    url="http://127.0.0.1:8000/",
    demo=False,
    started=0.0,
    alive=95.0,
    alive_boot=("this boot", 40.0),
    programs=(
        ProgramRecord(
            name="web", pid=8, since=60.0, restarts=2, last_error="was killed by SIGKILL"
        ),
        ProgramRecord(name="worker", pid=None, since=61.0, restarts=0, last_error=""),
    ),
)


def test_a_procfile_is_read_as_a_shell_would() -> None:
    text = '# ours\n\nweb: serve --port ${PORT:-8000} --host $HOST\nodd: say "two words" $NOTHING\n'
    web, odd = read_procfile(text, {"HOST": "::1"}, "/here")
    assert (web.name, web.command) == ("web", ("serve", "--port", "8000", "--host", "::1"))
    assert odd.command == ("say", "two words", "")
    assert odd.working_directory == "/here"


def test_a_set_variable_wins_over_its_default() -> None:
    (web,) = read_procfile("web: serve ${PORT:-8000}", {"PORT": "9000"}, "/")
    assert web.command == ("serve", "9000")


def test_a_bad_line_of_the_procfile_is_named() -> None:
    with pytest.raises(ProcfileError, match="'what is this' is not"):
        read_procfile("web: serve\nwhat is this\n", {}, "/")


def test_our_own_procfile_names_the_four_processes() -> None:
    text = (Path(__file__).parents[2] / "Procfile").read_text()
    names = [program.name for program in read_procfile(text, {}, "/")]
    assert names == ["web", "worker", "scheduler", "discovery"]


def test_each_line_carries_its_program() -> None:
    out = io.StringIO()
    Console(out).say("one\ntwo")
    Console(out).write("web", "three")
    assert out.getvalue() == "hlcopy    | one\nhlcopy    | two\nweb       | three\n"


def test_a_closed_terminal_is_no_error() -> None:
    out = io.StringIO()
    console = Console(out)
    out.close()
    console.say("nobody hears this")


def test_the_record_comes_back_as_it_was(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    assert read_record(tmp_path) == RECORD


@pytest.mark.parametrize("content", ["", "{", "[]", '{"supervisor_pid": "x"}'])
def test_a_damaged_record_is_no_record(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    assert read_record(tmp_path) is None


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    assert not is_running(tmp_path)
    lock = take_lock(tmp_path)
    assert lock is not None
    with lock:
        assert take_lock(tmp_path) is None
        assert is_running(tmp_path)
    assert not is_running(tmp_path)


def test_the_table_shows_every_program() -> None:
    lines = table(RECORD, now=100.0).splitlines()
    assert lines[0] == "hlcopy at http://127.0.0.1:8000/, supervisor pid 7, written 5 s ago"
    assert lines[2].split()[:5] == ["web", "8", "1970-01-01", "00:01:00", "2"]
    assert lines[2].endswith("  was killed by SIGKILL")
    assert lines[3].split() == ["worker", "waits", "1970-01-01", "00:01:01", "0"]


@pytest.mark.parametrize(
    ("now", "boot", "dead"),
    [
        (195.0, ("this boot", 140.0), 100.0),
        (9999.0, ("this boot", 45.0), 5.0),  # somebody set the clock
        (9999.0, ("another boot", 30.0), 30.0),  # the host has not been up for longer
        (50.0, ("another boot", 3000.0), -45.0),  # the clock went back: nothing is certain
    ],
)
def test_a_supervisor_is_dead_for_as_long_as_both_clocks_say(
    now: float, boot: tuple[str, float], dead: float
) -> None:
    assert dead_seconds(RECORD, now, boot) == dead
