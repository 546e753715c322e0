"""What a node tells of a whole market, and of real accounts, is what the book then says."""

from __future__ import annotations

import json
import os
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from discovery.node import NodeImport
from simulator import SimulatorConfig
from simulator.ledger import Ledger
from simulator.listing import SPOT
from simulator.replies import fill_row
from simulator.venue import Venue
from tests.discovery.node_market import Event, hourly, text, write
from traders.models import AccountSnapshot, Correction, Position, PositionEvent, Trader, WaitingFill

BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[3] / "shared" / "data"
DATA = Path(os.environ.get("HLCOPY_SHARED_DATA", BESIDE_THE_CHECKOUT))
NODE_FILLS = DATA / "node_node_fills.jsonl"
ACCOUNTS = sorted(path.stem for path in DATA.glob("userFillsByTime_*"))

pytestmark = pytest.mark.django_db(transaction=True)


def imported(path: Path) -> NodeImport:
    """Import the path to its end."""
    importing = NodeImport(stop=threading.Event())
    importing.run([path])
    return importing


def held() -> dict[tuple[str, str], Decimal]:
    """Return who holds what by the book."""
    rows = Position.objects.values_list("trader__address", "coin", "size")
    return {(address, coin): size for address, coin, size in rows}


def node_fills(ledger: Ledger) -> list[Event]:
    """Return every fill of a simulated market, in the order in which they happened."""
    fills = [
        (change.fill.oid, address, fill_row(change.fill, dex))
        for (address, dex), account in ledger.accounts.items()
        for change in account.changes
        if change.fill is not None
    ]
    return [(address, row) for _, address, row in sorted(fills, key=lambda fill: fill[0])]


@pytest.mark.parametrize("beginning", [0, 1500])
def test_a_simulated_market_is_known_without_any_snapshot(tmp_path, beginning):
    venue = Venue(
        SimulatorConfig(
            seed=7,
            traders=40,
            warmup_trades=500,
            coins=("BTC", "ETH", "SOL", "xyz:TSLA", "PURR/USDC"),
            history_per_account=100_000,
        )
    )
    for _ in range(400):
        venue.next_block()
    coin, holders = venue.coins["ETH"], sorted(venue.ledger.holders["ETH"])
    for number, address in enumerate(holders[:6]):
        # With no public trade: a node tells of one side alone.
        venue.ledger.shift(address, coin, Decimal(number - 9), venue.now_ms + 1, "Settlement")
    venue.now_ms += 2
    for _ in range(50):
        venue.next_block()
    fills = node_fills(venue.ledger)
    write(
        hourly(tmp_path, 10, ".lz4"), text([[fill] for fill in fills[beginning:]], by_block=False)
    )

    imported(tmp_path)

    told = {(address, fill["coin"]) for address, fill in fills[beginning:]}
    truth = {
        (address, name): position.size
        for (address, dex), account in venue.ledger.accounts.items()
        if dex != SPOT
        for name, position in account.positions.items()
        if (address, name) in told
    }
    assert len(fills) > 2000
    assert held() == truth
    assert not WaitingFill.objects.exists()
    assert not Correction.objects.exists()
    assert not AccountSnapshot.objects.exists()
    assert not PositionEvent.objects.filter(stale=True).exists()


@pytest.mark.shared_data
@pytest.mark.skipif(not NODE_FILLS.exists(), reason=f"{NODE_FILLS.name} is not beside the checkout")
def test_the_fills_of_a_real_node_are_its_positions():
    importing = imported(NODE_FILLS)

    last = {}
    for line in NODE_FILLS.read_text().splitlines():
        address, fill = json.loads(line)
        last[address, fill["coin"]] = after(fill)
    assert held() == {key: size for key, size in last.items() if size and "@" not in key[1]}
    assert (importing.summary.trades, importing.summary.damaged) == (13, 0)
    assert Trader.objects.count() == len({address for address, _ in last})


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name",
    ACCOUNTS
    or [pytest.param("", marks=pytest.mark.skip(reason="no recorded fills beside the checkout"))],
)
def test_a_recorded_accounts_fills_reproduce_every_start_and_every_direction(tmp_path, name):
    fills = json.loads((DATA / f"{name}.json").read_text())
    address = f"0x{1:040x}"
    path = write(tmp_path / "fills", text([[(address, fill)] for fill in fills], by_block=False))

    importing = imported(path)

    last = {(address, fill["coin"]): after(fill) for fill in fills}
    assert held() == {key: size for key, size in last.items() if size and key[1][0] not in "@#"}
    assert importing.summary.damaged == 0
    assert not Correction.objects.exists()
    assert directions() == {(fill["coin"], fill["time"], fill["dir"]) for fill in fills}


def directions() -> set[tuple[str, int, str]]:
    """Return (coin, time, dir) of all that the events tell; a flip is two of them."""
    found = {}
    for event in PositionEvent.objects.order_by("id"):
        was_long = (event.size_before or event.size_after) > 0
        side = "Long" if was_long else "Short"
        key = (event.coin, event.exchange_time_ms, event.side)
        if event.kind == "OPEN" and key in found:
            found[key] = "Short > Long" if was_long else "Long > Short"
        else:
            grows = event.kind in {"OPEN", "INCREASE"}
            found[key] = f"{'Open' if grows else 'Close'} {side}"
    return {(coin, at, kind) for (coin, at, _), kind in found.items()}


def after(fill: dict[str, Any]) -> Decimal:
    """Return the position after a fill."""
    sign = 1 if fill["side"] == "B" else -1
    return Decimal(fill["startPosition"]) + sign * Decimal(fill["sz"])
