"""Twenty thousand trades under everything that goes wrong: `make soak` in small."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.discovery.live import CHECKOUT


@pytest.mark.processes
@pytest.mark.timeout(420)
def test_no_wrong_number_is_shown_as_fresh_whatever_goes_wrong(request):
    seed = request.config.getoption("randomly_seed", default=1) or 1
    command = [sys.executable, "-m", "bench.soak", "--seconds", "70", "--trades", "20000"]
    command += ["--traders", "200", "--kills", "6", "--seed", str(seed)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
