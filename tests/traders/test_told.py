"""What a node tells of a position before a fill is an exact base."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.traders.fills import START_MS, address, trade
from traders import folding
from traders.cursors import Arrival, Start, Window
from traders.episodes import EXACT, Episode
from traders.folding import Account, Holding
from traders.outcome import Outcome
from traders.told import take_start

SIZES = st.decimals("-50", "50", places=2)


def told(
    start: Start,
    *,
    held: str | Decimal = "0",
    floor_ms: int | None = -3_000,
    at_ms: int = 0,
    gap_ms: int | None = -4_000,
    doubts: dict[str, Mapping[str, object]] | None = None,
    entry: Decimal | None = Decimal(90),
    size: str | Decimal = "1",
) -> tuple[Holding, Account, Outcome]:
    """Let trader 1 buy at 100 `at_ms`, whose position a node told; times since the start."""
    floors = {} if floor_ms is None else {"": START_MS + floor_ms}
    account = Account(1, address(1), floors, {}, doubts or {})
    episode = Episode("BTC", Decimal(held), entry, START_MS - 500, abs(Decimal(held)))
    holding = Holding(episode if Decimal(held) else None, is_stored=bool(Decimal(held)))
    outcome = Outcome()
    gap_until_ms = None if gap_ms is None else START_MS + gap_ms
    with localcontext(EXACT):
        ids = {address(1): 1, address(2): 2}
        one = trade(1, at_ms, size=size, buyer=1, seller=2)
        block = folding.blocks([(one, False)], ids, outcome)[0]
        take_start(block, account, holding, outcome, start, gap_until_ms=gap_until_ms)
        folding.fold(block, account, holding, outcome, gap_until_ms=gap_until_ms)
    return holding, account, outcome


def size_of(holding: Holding) -> Decimal:
    """Return the size that is held."""
    return holding.episode.size if holding.episode else Decimal(0)


@given(SIZES, SIZES, st.decimals("0.01", "50", places=2), st.sampled_from([None, -10]))
def test_the_position_after_the_fill_is_its_start_and_its_size(held, start, size, floor_ms):
    known = Decimal(0) if floor_ms is None else held
    holding, account, outcome = told(Start(start), held=known, floor_ms=floor_ms, size=size)

    assert size_of(holding) == start + size
    assert not outcome.waiting
    differs = floor_ms is not None and held != start
    assert [one[3:5] for one in outcome.corrections] == ([(held, start)] if differs else [])
    if floor_ms is None or differs:
        assert account.bases == {"BTC": START_MS - 1}
        assert outcome.told == {(1, "BTC")}


@given(SIZES, SIZES, st.decimals("0.01", "50", places=2))
def test_the_events_lead_from_what_was_held_to_what_is(held, start, size):
    holding, _, outcome = told(Start(start), held=held, size=size)

    at = held
    for event in outcome.events:
        assert event.change.size_before == at
        at = event.change.size_after
    assert at == size_of(holding)
    sources = [event.source for event in outcome.events]
    assert sources == sorted(sources, reverse=True)  # snapshot, then feed
    assert all(event.change.price for event in outcome.events if event.source == "feed")


def test_an_unknown_position_becomes_known_without_an_event_of_its_own():
    holding, account, outcome = told(Start(Decimal(5)), floor_ms=None)

    assert [event.change.kind for event in outcome.events] == ["INCREASE"]
    assert not outcome.events[0].stale
    assert holding.episode is not None
    assert (holding.episode.opened_at_ms, holding.episode.entry_price) == (None, None)
    assert account.has_changed


def test_who_was_flat_is_watched_from_the_beginning():
    holding, _, outcome = told(Start(Decimal(0)), floor_ms=None)

    assert [event.change.kind for event in outcome.events] == ["OPEN"]
    assert holding.episode is not None
    assert (holding.episode.opened_at_ms, holding.episode.entry_price) == (START_MS, Decimal(100))


def test_the_same_size_changes_nothing_that_is_fresh():
    _, account, outcome = told(Start(Decimal(3)), held="3")

    assert not account.has_changed
    assert not outcome.told


@pytest.mark.parametrize(
    "state", [{"gap_ms": -5}, {"doubts": {"BTC": {"floor": START_MS - 10, "sizes": ["1"]}}}]
)
def test_the_same_size_makes_fresh_what_was_stale_or_doubted(state):
    _, account, outcome = told(Start(Decimal(3)), held="3", **state)

    assert account.bases == {"BTC": START_MS - 1}
    assert not account.doubts
    assert not outcome.corrections
    assert not outcome.events[0].stale


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        ({"gap_ms": -5}, "gap"),
        ({"gap_ms": None}, "gap"),
        ({"gap_ms": -4_000}, "drift"),
        ({"doubts": {"BTC": {"floor": START_MS - 10}}}, "gap"),
        ({"doubts": {"BTC": {"floor": START_MS - 10, "at": START_MS, "fresh": True}}}, "drift"),
    ],
)
def test_another_size_is_a_correction_that_ends_the_whole_episode(state, cause):
    holding, _, outcome = told(Start(Decimal(4)), held="3", **state)

    assert outcome.corrections == [(1, "BTC", START_MS - 1, Decimal(3), Decimal(4), cause)]
    assert outcome.left_out == {1: None}
    assert holding.episode is not None
    assert (holding.episode.opened_at_ms, holding.episode.entry_price) == (None, None)


def test_a_snapshot_that_is_newer_has_the_last_word():
    holding, account, outcome = told(Start(Decimal(7)), held="3", floor_ms=400_000)

    assert size_of(holding) == 3
    assert not account.has_changed
    assert not outcome.corrections


def test_a_fill_that_closes_tells_what_was_paid_and_what_is_earned():
    start = Start(Decimal(-4), Decimal(110))
    holding, _, outcome = told(start, held="-4", entry=None)

    assert outcome.events[0].details["realised_pnl"] == "10"
    assert holding.episode is not None
    assert holding.episode.entry_price == 110
    assert not outcome.left_out


def test_what_was_paid_stays_unknown_until_the_position_is_flipped():
    holding, _, outcome = told(Start(Decimal(-4)), held="-4", entry=None)
    assert holding.episode is not None
    assert (holding.episode.entry_price, holding.episode.realised_pnl) == (None, None)
    assert "realised_pnl" not in outcome.events[0].details
    assert outcome.left_out == {1: None}

    holding, _, outcome = told(Start(Decimal(-4)), held="-4", entry=None, size="5")
    assert holding.episode is not None
    assert holding.episode.entry_price == 100
    [(_, trip)] = outcome.round_trips
    assert (trip.entry_price, trip.gross_pnl, trip.net_pnl) == (None, None, None)


def test_the_first_whole_block_of_a_coin_counts_and_all_before_it_is_a_gap():
    window = Window(None, None, b"")
    one = trade(1, 0)

    counted, gap = window.take(Arrival("BTC", (one,), is_replay=True, starts=((None, None),)))

    assert counted == [one]
    assert gap is not None
    assert (gap.from_ms, gap.to_ms, gap.reason) == (None, START_MS - 2, "first")
    assert window.take(Arrival("BTC", (one,), starts=((None, None),))) == ([], None)


def test_a_source_that_begins_behind_a_hole_shows_it_up_to_its_first_block():
    window = Window(None, None, b"")
    window.take(Arrival("BTC", (trade(1, 0),)))

    later = Arrival("BTC", (trade(2, 500),), is_replay=True, starts=((None, None),))
    counted, gap = window.take(later)

    assert len(counted) == 1
    assert gap is not None
    assert (gap.from_ms, gap.to_ms) == (START_MS, START_MS + 498)
