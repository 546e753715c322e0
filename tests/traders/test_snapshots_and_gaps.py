"""Snapshots of positions that the feed has carried through a gap: no agreement by chance counts."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal

import pytest

from hlcopy.clock import from_ms, utc_now
from tests.traders.book import follow
from tests.traders.fills import START_MS, address, block, live, replay, trade
from tests.traders.states import SIZE_DECIMALS, held, state
from traders import bulk, claims
from traders.doubts import Doubt, settled_difference
from traders.ingest import ingest
from traders.knowledge import floor_ms
from traders.ledgers import KnownTraders
from traders.models import Correction, FeedCursor, FeedGap, Healing, Ledger, Position, Trader
from traders.recording import Recorded, record_snapshots
from traders.tracked import record
from traders.verdicts import Verdict

GAP_MS = START_MS + 100_000


def see(
    at_ms: int, size: str = "0", *, value: str = "5000", followed: Collection[str] = ("BTC",)
) -> Recorded:
    """Record a snapshot of trader 1, whose coin the feed carries."""
    trader = Trader.objects.get(address=address(1))
    told = [held("BTC", size)] if Decimal(size) else []
    return record_snapshots(
        trader.pk,
        trader.address,
        {"": state(at_ms, *told, value=value)},
        size_decimals=SIZE_DECIMALS,
        fetched_at=from_ms(at_ms),
        followed=followed,
    )


@pytest.fixture
def flat_before_a_gap(transactional_db) -> KnownTraders:
    """Know trader 1 to be flat; then a gap, in which it has gone short by 2, unseen."""
    known = KnownTraders()
    ingest([replay(block(1, buyer=1, seller=9))], known)
    see(START_MS + 20_000)
    bulk.end_gaps_at({"BTC": GAP_MS})
    return known


def is_fresh() -> bool:
    ledger = Ledger.objects.get(trader__address=address(1))
    floor = floor_ms(ledger.floors, ledger.bases, ledger.doubts, "BTC") or 0
    gap_ms = FeedCursor.objects.get(coin="BTC").gap_until_ms or 0
    return "BTC" not in ledger.doubts and floor > gap_ms


def test_a_stale_position_is_not_confirmed_by_a_cut_before_the_fill_that_led_away(
    flat_before_a_gap,
):
    # It closes what nobody knew of: flat before for the ledger, flat after in truth.
    ingest([live([trade(7, 108_000, buyer=1, seller=9, size="2")])], flat_before_a_gap)
    seen = see(START_MS + 109_000)
    assert not is_fresh()
    assert seen.look_again is Healing.DOUBT
    see(START_MS + 120_000)
    assert is_fresh()
    assert not Position.objects.exists()
    assert Correction.objects.get().ledger_size == 2


def test_a_coin_that_is_flat_in_ledger_and_snapshot_is_judged_where_it_has_moved(
    flat_before_a_gap,
):
    Position.objects.create(trader=Trader.objects.get(address=address(1)), coin="BTC", size=2)
    # In truth it was closed in the gap, and this opens a short one.
    ingest([live([trade(7, 108_000, buyer=9, seller=1, size="2")])], flat_before_a_gap)
    see(START_MS + 107_000)
    assert not is_fresh()
    see(START_MS + 120_000, "-2")
    assert is_fresh()
    assert Position.objects.get().size == -2


def test_a_snapshot_right_after_a_gap_is_not_judged_and_another_one_is_asked_for(
    flat_before_a_gap,
):
    seen = see(GAP_MS + 4_000)
    assert seen.verdicts == {"": Verdict.UNJUDGED}
    assert seen.look_again is Healing.GAP
    assert not is_fresh()


def test_a_snapshot_before_a_gap_is_not_judged_by_fills_behind_it_though_nobody_carries_the_coin(
    transactional_db,
):
    known = KnownTraders()
    ingest([replay(block(1, buyer=1, seller=9))], known)
    ingest([live([trade(7, 30_000, buyer=1, seller=9)])], known)
    bulk.end_gaps_at({"BTC": START_MS + 40_000})
    ingest([live([trade(8, 60_000, buyer=1, seller=9)])], known)
    seen = see(START_MS + 31_000, "1", followed=())
    assert seen.verdicts == {"": Verdict.UNJUDGED}
    assert seen.look_again is Healing.GAP
    assert not Ledger.objects.get(trader__address=address(1)).floors


def test_what_was_implied_before_a_gap_says_nothing_after_it(flat_before_a_gap):
    see(START_MS + 110_000, "-2")
    bulk.end_gaps_at({"BTC": START_MS + 112_000})
    see(START_MS + 120_000, "-2")
    assert not is_fresh()
    see(START_MS + 126_000, "-2")
    assert is_fresh()


def test_who_could_not_be_judged_stays_in_the_healing_queue(flat_before_a_gap):
    Trader.objects.filter(address=address(1)).update(healing=Healing.GAP, retry_at=utc_now())
    (claim,) = claims.claim(1, lease_seconds=60, before=utc_now(), alone=True, rotates=False).claims
    at_ms = START_MS + 120_000
    recorded = record(claim, {"": state(at_ms)}, SIZE_DECIMALS, from_ms(at_ms), None)
    assert recorded is not None
    assert recorded.verdicts == {"": Verdict.UNJUDGED}
    trader = Trader.objects.get(address=address(1))
    assert (trader.healing, trader.retry_at is not None) == (Healing.GAP, True)


def test_bare_replies_close_and_doubt_nothing_for_a_minute(flat_before_a_gap):
    see(START_MS + 110_000, "-2")
    see(START_MS + 120_000, "-2")
    for seconds in (130, 140, 189):
        seen = see(START_MS + 1000 * seconds, value="0")
        assert (seen.verdicts, seen.look_after_seconds) == ({"": Verdict.WAITS}, 20)
        assert is_fresh()
    see(START_MS + 190_000, "-2")
    see(START_MS + 191_000, value="0")
    assert is_fresh()
    # A minute later it says something, and after another one the same again.
    for seconds in (251, 257, 317):
        see(START_MS + 1000 * seconds, value="0")
    assert not Position.objects.exists()


def test_a_gap_of_a_quiet_coin_begins_where_the_last_socket_was_lost(flat_before_a_gap):
    follow("BTC", until_ms=START_MS + 70_000, name="dead:1/0")
    ingest([replay(block(80_000, 40, buyer=1, seller=9))], flat_before_a_gap)
    gap = FeedGap.objects.get(reason="outage")
    assert (gap.from_ms, gap.to_ms) == (START_MS + 70_000, START_MS + 80_000)


@pytest.mark.parametrize("is_connected", [False, True], ids=["all is lost", "one coin is"])
def test_a_process_that_is_killed_after_the_loss_has_told_of_it(flat_before_a_gap, is_connected):
    follow("BTC", until_ms=START_MS + 70_000, name="dead:1/0")
    told = {"BTC": START_MS + 71_000}
    others = ("ETH",) if is_connected else ()
    follow(*others, until_ms=START_MS + 75_000, name="dead:1/0", lost=told, connected=is_connected)
    ingest([replay(block(80_000, 40, buyer=1, seller=9))], flat_before_a_gap)
    gap = FeedGap.objects.get(reason="outage")
    assert (gap.from_ms, gap.to_ms) == (START_MS + 71_000, START_MS + 80_000)


@pytest.mark.parametrize(
    ("sizes", "is_stale", "wins"),
    [("0", True, "0"), ("0 1", False, "0"), ("0 1", True, None), ("1", True, None)],
)
def test_a_first_look_confirms_what_is_fresh_or_what_nothing_speaks_against(sizes, is_stale, wins):
    implied = frozenset(map(Decimal, sizes.split()))
    found = settled_difference(None, implied, START_MS, is_stale=is_stale)
    assert found == (None if wins is None else Decimal(wins))


@pytest.mark.parametrize(
    ("before", "sizes", "later_ms", "wins"),
    [
        ("0 1", "1 2", 5_000, "1"),
        ("0 1", "1 2", 4_999, None),
        ("0 1", "0 2", 1_000, "0"),
        ("0 1", "0 1", 9_000, None),
        ("1", "2", 9_000, None),
        ("1", "0", 1_000, "0"),
    ],
)
def test_a_second_look_leaves_what_both_imply(before, sizes, later_ms, wins):
    doubt = Doubt(START_MS, START_MS, frozenset(map(Decimal, before.split())))
    implied = frozenset(map(Decimal, sizes.split()))
    found = settled_difference(doubt, implied, START_MS + later_ms, is_stale=True)
    assert found == (None if wins is None else Decimal(wins))
