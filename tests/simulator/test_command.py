"""`python -m simulator` as another process sees it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from websockets.sync.client import connect

from hlcopy.supervisor.children import popen_options
from tests.simulator.test_replay import record

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process, its api address and its socket address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]},
        **popen_options(death_signal=signal.SIGKILL),
    )
    try:
        assert process.stdout is not None
        api, ws = process.stdout.readline().split()
        yield process, api.removeprefix("api="), ws.removeprefix("ws=")
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_it_prints_its_addresses_trades_at_once_and_ends_on_term():
    subscription = {"type": "trades", "coin": "BTC"}
    with (
        command("--traders", "300", "--trades-per-second", "400") as (process, api, ws),
        connect(ws, compression=None, proxy=None) as feed,
    ):
        feed.send(json.dumps({"method": "subscribe", "subscription": subscription}))
        texts = [feed.recv(timeout=5) for _ in range(6)]
        blocks = [json.loads(text) for text in texts[2:]]
        assert {block["channel"] for block in blocks} == {"trades"}
        state = httpx.get(f"{api}/sim/state").json()
        assert state["running"] is True
        assert state["open_positions"] > 100
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_by_hand_the_clock_stands_still(tmp_path):
    with command("--manual", "--traders", "20", "--coins", "BTC,ETH") as (_, api, _ws):
        before = httpx.get(f"{api}/sim/state").json()
        httpx.post(f"{api}/sim/order", json={"type": "step", "blocks": 3})
        after = httpx.get(f"{api}/sim/state").json()
        assert after["blocks_total"] == before["blocks_total"] + 3
        meta = httpx.post(f"{api}/info", json={"type": "meta"}).json()
        assert [row["name"] for row in meta["universe"]] == ["BTC", "ETH"]


def test_it_replays_a_file(tmp_path):
    with command("--replay", str(record(tmp_path))) as (_, api, _ws):
        assert httpx.get(f"{api}/sim/state").json()["mode"] == "replay"


def test_a_taken_port_and_a_missing_file_are_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments, word in ((["--port", port], "in use"), (["--replay", "nowhere"], "nowhere")):
            ended = subprocess.run(
                [sys.executable, "-m", "simulator", "--traders", "5", *arguments],
                check=False,
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=20,
            )
            assert ended.returncode == 1
            assert word in ended.stderr
            assert "Traceback" not in ended.stderr
