"""Life and death of the supervisor, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hlcopy.supervisor.record import RunRecord, is_running, read_record

pytestmark = pytest.mark.processes
STAYS = "sh -c 'echo $$ > {0}.pid; echo {0} is here; exec sleep 1000'\n"
DEAF = "sh -c 'trap \"\" TERM; echo $$ > {0}.pid; while true; do sleep 0.1; done'\n"


def wait_for(condition: Callable[[], object], seconds: float = 15) -> None:
    """Look until the condition holds."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "waited in vain"
        time.sleep(0.005)


def runs(pid: int) -> bool:
    """Return whether a process is there and not only waiting to be reaped."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def alive(folder: Path, *names: str) -> list[str]:
    """Return which of the named programs run."""
    files = {name: folder / f"{name}.pid" for name in names}
    pids = {name: file.read_text().strip() for name, file in files.items() if file.exists()}
    return [name for name, pid in pids.items() if pid and runs(int(pid))]


class Life:
    """One supervisor over a folder with a Procfile."""

    def __init__(self, folder: Path) -> None:
        """Nothing runs yet."""
        self.folder = folder
        self._processes: list[subprocess.Popen[str]] = []

    def begin(self, procfile: str, needed: str = "") -> subprocess.Popen[str]:
        """Start a supervisor of these programs."""
        (self.folder / "Procfile").write_text(procfile)
        (self.folder / "Procfile.needed").write_text(needed)
        with (self.folder / "out").open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.hlcopy.supervised", str(self.folder)],
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self._processes.append(process)
        return process

    @property
    def said(self) -> str:
        """What the terminal shows."""
        return (self.folder / "out").read_text()

    @property
    def record(self) -> RunRecord:
        """What `status` reads."""
        record = read_record(self.folder)
        assert record is not None
        return record

    def end(self) -> None:
        """Leave nothing behind."""
        for process in self._processes:
            process.kill()
            process.wait()
        for file in self.folder.glob("*.pid"):
            if alive(self.folder, file.stem):
                os.kill(int(file.read_text()), signal.SIGKILL)


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    """A supervisor's folder that is swept in the end."""
    life = Life(tmp_path)
    yield life
    life.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_every_program(life: Life, number: signal.Signals) -> None:
    process = life.begin("one: " + STAYS.format("one") + "two: " + STAYS.format("two"))
    wait_for(lambda: len(alive(life.folder, "one", "two")) == 2)
    process.send_signal(number)
    assert process.wait(10) == 0
    assert alive(life.folder, "one", "two") == []
    assert not is_running(life.folder)


def test_a_killed_supervisor_takes_its_programs_with_it(life: Life) -> None:
    process = life.begin("one: " + STAYS.format("one") + "two: " + STAYS.format("two"))
    wait_for(lambda: len(alive(life.folder, "one", "two")) == 2)
    process.kill()
    wait_for(lambda: alive(life.folder, "one", "two") == [])


def test_a_killed_supervisor_takes_even_a_deaf_program_with_it(life: Life) -> None:
    process = life.begin("deaf: " + DEAF.format("deaf"))
    wait_for(lambda: alive(life.folder, "deaf"))
    process.kill()
    wait_for(lambda: alive(life.folder, "deaf") == [])


def test_the_next_life_ends_what_outlived_supervisor_and_guardian(life: Life) -> None:
    process = life.begin("deaf: " + DEAF.format("deaf"))
    wait_for(lambda: alive(life.folder, "deaf"))
    os.kill(life.record.guardian_pid, signal.SIGKILL)
    process.kill()
    process.wait()
    assert alive(life.folder, "deaf") == ["deaf"]  # it ignores TERM, so it has survived
    life.begin("one: " + STAYS.format("one"))
    wait_for(lambda: alive(life.folder, "one"))
    assert alive(life.folder, "deaf") == []


def test_a_program_that_ignores_the_signal_is_killed_in_the_end(life: Life) -> None:
    process = life.begin("deaf: " + DEAF.format("deaf"))
    wait_for(lambda: alive(life.folder, "deaf"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert alive(life.folder, "deaf") == []
    assert "deaf does not end: killed" in life.said


def test_a_killed_program_is_started_again_and_the_others_live_on(life: Life) -> None:
    life.begin("one: " + STAYS.format("one") + "two: " + STAYS.format("two"))
    wait_for(lambda: len(alive(life.folder, "one", "two")) == 2)
    first, other = (int((life.folder / f"{name}.pid").read_text()) for name in ("one", "two"))
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: (life.folder / "one.pid").read_text().strip() not in {"", str(first)})
    wait_for(lambda: [each.restarts for each in life.record.programs] == [1, 0])
    assert life.record.programs[0].last_error == "was killed by SIGKILL: one is here"
    assert int((life.folder / "two.pid").read_text()) == other


def test_a_crash_loop_is_reported_with_the_last_lines(life: Life) -> None:
    life.begin("bad: sh -c 'echo the reason; exit 3'\none: " + STAYS.format("one"))
    wait_for(lambda: "bad failed 3 times in a row, saying:\nhlcopy    |   the reason" in life.said)
    assert alive(life.folder, "one") == ["one"]
    assert life.record.programs[0].last_error == "ended with status 3: the reason"
    waits = [line.split()[-2] for line in life.said.splitlines() if "starting it again" in line]
    assert waits[:4] == ["0.05", "0.1", "0.2", "0.2"][: len(waits)]


def test_what_a_program_left_in_its_group_is_ended_before_it_starts_again(life: Life) -> None:
    life.begin("parent: sh -c 'sleep 1000 & echo $! >> left.pids; sleep 0.02; exit 1'\n")
    wait_for(lambda: life.said.count("parent ended with status 1") >= 3)
    pids = (life.folder / "left.pids").read_text().split()
    wait_for(lambda: not any(runs(int(pid)) for pid in pids[:3]), seconds=1)


def test_programs_wait_for_what_they_need(life: Life) -> None:
    slow = "sh -c 'sleep 0.2; touch data.ready; exec sleep 1000'\n"
    life.begin("app: sh -c 'test -e data.ready && exec sleep 1000'\n", needed=f"data: {slow}")
    wait_for(lambda: "all started" in life.said)
    assert "again" not in life.said


def test_a_start_that_can_never_work_says_why_and_ends(life: Life) -> None:
    process = life.begin("app: sleep 1000\n", needed="data: sh -c 'echo disk full; exit 1'\n")
    assert process.wait(10) == 5
    assert "data ended with status 1: disk full" in life.said


def test_a_command_that_does_not_exist_is_named(life: Life) -> None:
    life.begin("app: no-such-command --now\n")
    wait_for(lambda: "app cannot be started (No such file or directory: no-such-c" in life.said)


def test_only_one_supervisor_runs_in_a_folder(life: Life) -> None:
    life.begin("one: " + STAYS.format("one"))
    wait_for(lambda: alive(life.folder, "one"))
    assert is_running(life.folder)
    assert life.begin("two: " + STAYS.format("two")).wait(10) == 4
    assert alive(life.folder, "one", "two") == ["one"]
