"""Requests made of the OpenAPI document, odd ones above all, against a real server.

HLCOPY_SCHEMA_CASES says how many there are at least (5,000 before a release).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from leaderboard import cache
from tests.leaderboard.history import NOW, add_nav, publish
from tests.traders.book import add_position, add_snapshot
from traders.models import Trader
from web import tokens

CASES = int(os.environ.get("HLCOPY_SCHEMA_CASES", "300"))
#: At least so many operations take enough parameters to make ever new cases of.
OPERATIONS = 6
#: Not `positive_data_acceptance`: that a time lies between 2020 and 2100, and `from` before `to`,
#: cannot be said in JSON Schema.
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance"
CHECKS += ",response_schema_conformance,negative_data_rejection,unsupported_method"


@pytest.mark.processes
@pytest.mark.timeout(120 + CASES // 5)
def test_no_request_is_a_defect_and_every_bad_parameter_is_refused(server, book, tmp_path):
    add_snapshot(book.trader, "1000.5")
    add_position(book.trader, "BTC", "1.5", notional=Decimal(90000))
    book.add(30)
    Trader.objects.update(first_seen_at=NOW - timedelta(days=20), last_tracked_at=NOW)
    add_nav(book.trader, 1, [1, 1.2, 1.1], wins=8, losses=2, volume_usd=5000, events=20)
    publish()
    cache.clear()
    # Else nearly every case would ask for a trader who is not there.
    config = tmp_path / "schemathesis.toml"
    config.write_text(f'[parameters]\n"path.trader" = "{book.trader.address}"\n')
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config)]
    command += ["run", f"{server.url}/api/schema", "--phases", "examples,coverage,fuzzing"]
    command += ["--checks", CHECKS, "--max-examples", str(CASES // OPERATIONS + 1)]
    command += ["--header", f"Authorization: Bearer {tokens.create('cases')}", "--no-color"]
    command += ["--exclude-path", "/admin/overview/", "--continue-on-failure", "--no-shrink"]

    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    made = re.search(r"([\d,]+) generated", done.stdout)
    assert made, done.stdout[-8000:]
    assert int(made[1].replace(",", "")) >= CASES
    print(made[0])  # noqa: T201 (what `-s` is for)
