"""Addresses of a file become traders, each once, whatever the file looks like."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.discovery.live import address
from traders.models import Ledger, Trader

BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[3] / "shared" / "data"
DATA = Path(os.environ.get("HLCOPY_SHARED_DATA", BESIDE_THE_CHECKOUT))
LEADERBOARD = DATA / "leaderboard_7rows_real.json"

pytestmark = pytest.mark.django_db(transaction=True)


def row(number: int) -> dict[str, object]:
    """Return a row as the exchange writes it."""
    return {
        "ethAddress": address(number),
        "accountValue": "1000.0",
        "windowPerformances": [["day", {"pnl": "1", "roi": "0.01", "vlm": "100"}]],
        "prize": 0,
        "displayName": "somebody",
    }


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"leaderboardRows": [row(1), row(2), row(1)]}),
        json.dumps([address(1), address(2), address(1).upper().replace("0X", "0x")]),
        f"rank,Address,note\n1,{address(1)},a\n2,{address(2)},\n3,{address(1)},c\n",
        f"7;{address(1)};x\n8;{address(2)};y\n9;{address(2)};z\n",
        f"# mine\n{address(1)}\n\n  {address(2)}  \n{address(1)}\n",
        f"\ufeffaddress\r\n{address(1)}\r\n{address(2)}\r\n{address(2)}\r\n",
    ],
)
def test_each_address_becomes_a_trader_once(tmp_path, capsys, content):
    path = tmp_path / "addresses"
    path.write_text(content, encoding="utf-8")

    call_command("importtraders", str(path))
    first = capsys.readouterr().out
    call_command("importtraders", str(path))

    assert set(Trader.objects.values_list("address", flat=True)) == {address(1), address(2)}
    assert Ledger.objects.count() == 2
    assert first == "2 new traders, 0 known, 1 repeated, 0 damaged\n"
    assert capsys.readouterr().out == "0 new traders, 2 known, 1 repeated, 0 damaged\n"


def test_one_damaged_row_is_named_and_costs_no_other(tmp_path, capsys):
    path = tmp_path / "board.json"
    rows = [row(1), {"ethAddress": 5}, {"nothing": 1}, [], row(2)]
    path.write_text(json.dumps({"leaderboardRows": rows}))

    call_command("importtraders", str(path))

    told = capsys.readouterr()
    assert told.out == "2 new traders, 0 known, 0 repeated, 3 damaged\n"
    assert [line.rsplit(":", 2)[1].strip() for line in told.err.splitlines()] == [
        "not an address"
    ] * 3
    assert f"{path}:2: " in told.err


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"leaderboardRows": [', "not a leaderboard"),
        ('{"rows": []}', "not a leaderboard"),
        ("a,b\n1,2\n", "no column of addresses"),
        ("\0\1\2", "no column of addresses"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, content, reason):
    path = tmp_path / "file"
    path.write_text(content)

    with pytest.raises(CommandError, match=reason):
        call_command("importtraders", str(path))
    with pytest.raises(CommandError, match="No such file"):
        call_command("importtraders", str(tmp_path / "nowhere"))
    assert not Trader.objects.exists()


@pytest.mark.shared_data
@pytest.mark.skipif(not LEADERBOARD.exists(), reason="the leaderboard is not beside the checkout")
def test_the_exchanges_own_leaderboard_is_read(capsys):
    call_command("importtraders", str(LEADERBOARD))

    assert capsys.readouterr().out == "7 new traders, 0 known, 0 repeated, 0 damaged\n"
