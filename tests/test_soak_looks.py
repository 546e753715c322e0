"""Up to when the soak may excuse a wrong number: nobody has asked the exchange since."""

from __future__ import annotations

import pytest

from bench.soak_looks import looked_ms
from bench.soak_outages import SEEN_AFTER_MS, Missed, Outages, ToldByNodes
from tests.traders.book import STATE_MS, add_snapshot, add_trader
from traders.models import Ledger

FILL_MS = STATE_MS + 9_000


@pytest.fixture
def ledger(db: None) -> Ledger:
    """Show BTC as of a fill that waited until a snapshot of nine seconds before told the base."""
    trader = add_trader()
    add_snapshot(trader, "100")
    ledger = Ledger.objects.select_related("trader").get(trader=trader)
    ledger.bases["BTC"] = FILL_MS
    return ledger


def test_a_floor_that_a_snapshot_tells_is_when_it_was_looked(ledger):
    assert looked_ms(ledger, "ETH", STATE_MS, set()) == STATE_MS


def test_a_base_beneath_a_waiting_fill_was_looked_at_when_its_snapshot_was_taken(ledger):
    of_others = {(ledger.trader.address, "ETH", FILL_MS), ("0x0", "BTC", FILL_MS)}

    assert looked_ms(ledger, "BTC", FILL_MS, of_others) == STATE_MS
    assert looked_ms(ledger, "BTC", FILL_MS, {(ledger.trader.address, "BTC", FILL_MS - 1)}) == (
        STATE_MS
    )


def test_a_base_that_a_nodes_fill_tells_was_looked_at_right_before_that_fill(ledger):
    told = {(ledger.trader.address, "BTC", FILL_MS)}

    assert looked_ms(ledger, "BTC", FILL_MS, told) == FILL_MS


def test_what_a_nodes_files_tell_is_each_trade_once_and_what_was_before_it():
    nodes = ToldByNodes()
    for who in ("0xa", "0xb"):
        nodes.add(who, {"coin": "BTC", "time": FILL_MS, "tid": 7})
    nodes.add("0xa", {"coin": "BTC", "time": FILL_MS + 1, "tid": 8})

    assert ("0xb", "BTC", FILL_MS - 1) in nodes
    assert ("0xb", "BTC", FILL_MS) not in nodes
    assert nodes.trades("BTC", FILL_MS, FILL_MS) == 1
    assert nodes.trades("BTC", FILL_MS, FILL_MS + 1) == 2
    assert nodes.trades("ETH", FILL_MS, FILL_MS + 1) == 0


def test_a_silent_move_excuses_only_what_nobody_has_looked_at_since(monkeypatch):
    monkeypatch.setattr("bench.soak_outages.now_ms", lambda: STATE_MS)
    missed = Missed()
    missed.move("BTC", "0x1")

    assert missed.excuses("0x1", "BTC", STATE_MS + SEEN_AFTER_MS)
    assert not missed.excuses("0x1", "BTC", STATE_MS + SEEN_AFTER_MS + 1)
    assert not missed.excuses("0x1", "ETH", STATE_MS)
    assert not missed.excuses("0x2", "BTC", STATE_MS)


def test_an_outage_begins_where_the_frames_that_were_late_end(monkeypatch):
    clock = iter(range(STATE_MS, STATE_MS + 10_000, 200))
    monkeypatch.setattr("bench.soak_outages.now_ms", lambda: next(clock))
    outages = Outages()
    carried = {"connection": 1, "subscriptions": 3}
    late = {"frames_delay_seconds": 2.8}
    for faults in ({}, late, late):
        outages.look({"trades_by_coin": {}, "connections": [carried]}, faults)
    outages.look({"trades_by_coin": {}, "connections": []}, late)

    (outage,) = outages.all
    assert outage.cut_ms - outage.from_ms == 2_800
    assert outages.open is outage
