"""`manage.py rundiscovery` as a real process: signals, death, recordings."""

from __future__ import annotations

import signal
from functools import partial

import pytest

from discovery.recording import read_frames
from exchange.wire import TradesFrame, decode_frame
from simulator import Simulator
from tests.discovery.live import Command, burst, covering, known, market, until
from traders.models import FeedSocket, Trader


@pytest.fixture
def sim():
    """A market that stands still."""
    with Simulator(market()) as simulator:
        yield simulator


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_a_signal_commits_everything_received_and_ends_it_within_five_seconds(
    transactional_db, sim, tmp_path, number
):
    with Command(tmp_path / "log", sim.ws_url) as command:
        until(lambda: covering("BTC", "ETH"))
        traded = burst(sim, 0, 300)
        seconds = command.end(number)

    assert command.process.returncode == 0, command.output
    assert seconds < 5
    assert known(traded)
    assert "unsaved=0" in command.output
    assert not FeedSocket.objects.filter(connected=True).exists()


def test_after_kill_9_a_new_process_finds_who_traded_meanwhile(transactional_db, sim, tmp_path):
    with Command(tmp_path / "log", sim.ws_url) as first:
        until(lambda: covering("BTC", "ETH"))
        traded = burst(sim, 0, 5)
        first.kill()
        traded |= burst(sim, 10, 5)

    with Command(tmp_path / "log", sim.ws_url):
        until(lambda: known(traded), "the traders of before and between")
        traded = burst(sim, 20, 5)
        until(lambda: known(traded), "those of after")


def test_two_processes_find_everybody_once(transactional_db, sim, tmp_path):
    with (
        Command(tmp_path / "one", sim.ws_url) as first,
        Command(tmp_path / "two", sim.ws_url),
    ):
        until(lambda: covering("BTC", "ETH", sockets=4))
        traded = burst(sim, 0, 200)
        until(lambda: known(traded))
        first.kill()
        traded = burst(sim, 300, 100)
        until(lambda: known(traded))


def test_it_records_what_it_receives_and_replays_it(transactional_db, sim, tmp_path):
    path = tmp_path / "frames.jsonl.gz"
    for run in range(2):
        with Command(tmp_path / "log", sim.ws_url, "--record", str(path)) as recording:
            until(lambda: covering("BTC", "ETH"))
            traded = burst(sim, 100 * run, 20)
            until(partial(known, traded))
            recording.end()
            assert recording.process.returncode == 0, recording.output
    everybody = set(Trader.objects.values_list("address", flat=True))
    Trader.objects.all().delete()

    frames = [decode_frame(recorded.raw) for recorded in read_frames(path)]
    with Command(tmp_path / "log", "ws://nowhere", "--replay", str(path), "--speed", "0") as again:
        again.process.wait(20)

    assert sum(isinstance(frame, TradesFrame) for frame in frames) >= 80
    assert again.process.returncode == 0, again.output
    assert f"{len(everybody)} new traders" in again.output
    assert set(Trader.objects.values_list("address", flat=True)) == everybody


def test_a_recording_that_is_not_there_is_named(transactional_db, tmp_path):
    missing = tmp_path / "missing.jsonl"
    with Command(tmp_path / "log", "ws://nowhere", "--replay", str(missing)) as command:
        command.process.wait(20)

    assert command.process.returncode == 1
    assert f"{missing}: No such file or directory" in command.output
    assert "Traceback" not in command.output
