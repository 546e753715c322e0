"""Laws of what trades make of positions, days and events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from exchange.wire import Side, Trade
from tests.traders.fills import START_MS, address, trade
from traders import folding
from traders.episodes import EXACT, MAKER_FEE, TAKER_FEE, Episode
from traders.folding import Account, Holding
from traders.outcome import NewEvent, Outcome
from traders.positions import ZERO

TRADERS = range(1, 5)
IDS = {address(number): number for number in TRADERS}
Held = Mapping[int, str | Decimal]


class Book:
    """Everybody's holdings, and what batches of trades make of them."""

    def __init__(self, held: Held | None = None, **account: object) -> None:
        told: dict[str, object] = {"floors": {"": START_MS - 1}, "bases": {}, "doubts": {}}
        self.accounts = {
            n: Account(n, address(n), **(told | account))  # type: ignore[arg-type]
            for n in TRADERS
        }
        self.holdings: dict[tuple[int, str], Holding] = {}
        for number, text in (held or {}).items():
            size = Decimal(text)
            episode = Episode("BTC", size, Decimal(90), START_MS - 5, abs(size))
            self.holdings[number, "BTC"] = Holding(episode if size else None, is_stored=True)
        self.outcome = Outcome()

    def take(self, trades: Sequence[Trade], *, gap_until_ms: int | None = None) -> Outcome:
        """Fold one batch; every batch adds to the same outcome."""
        with localcontext(EXACT):
            counted = [(one, False) for one in trades]
            for block in folding.blocks(counted, IDS, self.outcome):
                holding = self.holdings.setdefault((block.trader_id, block.coin), Holding())
                folding.fold(
                    *(block, self.accounts[block.trader_id], holding, self.outcome),
                    gap_until_ms=gap_until_ms,
                )
        return self.outcome

    def size(self, number: int, coin: str = "BTC") -> Decimal:
        held = self.holdings.get((number, coin))
        return held.episode.size if held and held.episode else ZERO

    def events(self, number: int) -> list[NewEvent]:
        return [event for event in self.outcome.events if event.trader_id == number]


def steps_of(book: Book, number: int) -> list[tuple[str, Decimal, Decimal]]:
    """Return (kind, size before, size after) of each of the trader's events."""
    changes = [event.change for event in book.events(number)]
    return [(change.kind, change.size_before, change.size_after) for change in changes]


SIZES = st.decimals("0.001", "5", places=3)
TRADES = st.lists(
    st.builds(
        trade,
        st.integers(0, 10**6),
        st.integers(0, 3),
        buyer=st.sampled_from(TRADERS),
        seller=st.sampled_from(TRADERS),
        size=SIZES,
        price=st.decimals("50", "150", places=2),
        side=st.sampled_from(Side),
    ),
    max_size=12,
).map(lambda trades: sorted(trades, key=lambda one: one.time_ms))
HELD = st.dictionaries(st.sampled_from(TRADERS), st.decimals("-5", "5", places=3))


@given(HELD, TRADES)
def test_sizes_are_exact_and_events_tell_every_step_of_them(held, trades):
    book = Book(held)
    book.take(trades)

    for number in TRADERS:
        start = Decimal(held.get(number, 0))
        bought = sum(Fraction(one.size) for one in trades if one.buyer == address(number))
        sold = sum(Fraction(one.size) for one in trades if one.seller == address(number))
        assert Fraction(book.size(number)) == Fraction(start) + bought - sold
        told = [event.change for event in book.events(number)]
        changed = sum(Fraction(one.size_after) - Fraction(one.size_before) for one in told)
        assert Fraction(start) + changed == Fraction(book.size(number))


@given(HELD, TRADES)
def test_how_blocks_are_cut_into_batches_changes_nothing(held, trades):
    whole, cut = Book(held), Book(held)
    whole.take(trades)
    for at in range(4):
        cut.take([one for one in trades if one.time_ms == START_MS + at])

    assert cut.outcome.days == whole.outcome.days
    assert cut.holdings == whole.holdings
    assert cut.outcome.round_trips == whole.outcome.round_trips
    for number in TRADERS:
        assert cut.events(number) == whole.events(number)


@given(HELD, TRADES)
def test_what_is_mirrored_has_mirrored_sizes_and_earnings(held, trades):
    book = Book(held)
    mirror = Book({number: -Decimal(size) for number, size in held.items()})
    book.take(trades)
    mirror.take([mirrored(one) for one in trades])

    for number in TRADERS:
        assert steps_of(mirror, number) == [
            (kind, -before, -after) for kind, before, after in steps_of(book, number)
        ]
    for key, sums in book.outcome.days.items():
        other = mirror.outcome.days[key]
        assert other.realised_gross == -sums.realised_gross
        assert (other.volume_usd, other.fees, other.fills) == these(
            *(sums.volume_usd, sums.fees, sums.fills),
        )


def mirrored(one: Trade) -> Trade:
    """Return the trade with its sides exchanged; who took takes."""
    side = Side.SELL if one.side is Side.BUY else Side.BUY
    return Trade(
        *(one.coin, side, one.price, one.size, one.time_ms, one.tid, one.hash),
        *(one.seller, one.buyer),
    )


def these(*values: Any) -> Any:
    """Return the values, to compare with numbers of any type."""
    return values


@given(st.decimals("-5", "5", places=3), SIZES, st.integers(1, 6), st.sampled_from(Side))
def test_a_fill_in_parts_makes_what_the_whole_makes(start, size, parts, side):
    whole, split = Book({1: start}), Book({1: start})
    whole.take([trade(0, 0, size=parts * size, side=side)])
    split.take([trade(n, 0, size=size, side=side) for n in range(parts)])

    assert steps_of(split, 1) == steps_of(whole, 1)
    assert split.holdings == whole.holdings
    for key, sums in whole.outcome.days.items():
        assert split.outcome.days[key] == replace(sums, fills=parts)


@pytest.mark.parametrize(
    ("start", "bought", "kinds"),
    [
        ("-2", "5", [("CLOSE", -2, 0), ("OPEN", 0, 3)]),
        ("-2", "2", [("CLOSE", -2, 0)]),
        ("-2", "1", [("DECREASE", -2, -1)]),
        ("0", "1", [("OPEN", 0, 1)]),
        ("2", "1", [("INCREASE", 2, 3)]),
    ],
)
def test_the_kind_of_an_event_follows_from_the_position(start, bought, kinds):
    book = Book({1: start})
    book.take([trade(0, 0, size=bought)])

    assert steps_of(book, 1) == kinds


def test_a_flip_ends_one_episode_and_begins_another():
    book = Book({1: "-2"})
    book.take([trade(0, 7, size="5", price="80")])

    [(number, ended)] = book.outcome.round_trips
    assert (number, ended.gross_pnl, ended.side) == these(1, 20, "SHORT")
    held = book.holdings[1, "BTC"].episode
    assert held is not None
    assert (held.entry_price, held.opened_at_ms, held.realised_pnl) == these(80, START_MS + 7, 0)
    closed, opened = (event.details for event in book.events(1))
    assert (closed["realised_pnl"], closed["entry_price"]) == these("20", "90")
    assert not {"realised_pnl", "entry_price", "funding"} & opened.keys()


def test_a_block_that_nets_to_nothing_has_statistics_and_no_event():
    book = Book()
    book.take(
        [
            trade(0, 0, buyer=1, seller=2, price="100"),
            trade(1, 0, buyer=3, seller=1, price="103"),
        ]
    )

    assert book.events(1) == []
    assert book.size(1) == 0
    sums = book.outcome.day(1, START_MS)
    assert (sums.fills, sums.volume_usd, sums.realised_gross, sums.closed) == these(2, 203, 3, 1)
    assert sums.events == 0


def test_one_block_is_one_event_each_way_at_the_average_price():
    book = Book({1: "-10"})
    book.take(
        [
            trade(0, 0, buyer=1, size="1", price="100"),
            trade(1, 0, buyer=2, seller=1, size="2", price="90"),
            trade(2, 0, buyer=1, size="3", price="104"),
        ]
    )

    bought, sold = (event.change for event in book.events(1))
    assert (bought.side, bought.price, bought.size_after) == these("BUY", 103, -6)
    assert (sold.side, sold.price, sold.size_after) == these("SELL", 90, -8)


@pytest.mark.parametrize(
    ("sides", "role", "fee"),
    [
        ([Side.BUY], "taker", TAKER_FEE),
        ([Side.SELL], "maker", MAKER_FEE),
        ([Side.BUY, Side.SELL], "both", (TAKER_FEE + MAKER_FEE) / 2),
    ],
)
def test_the_buyer_of_a_bought_trade_took_and_pays_a_takers_fee(sides, role, fee):
    book = Book()
    book.take([trade(n, 0, side=side) for n, side in enumerate(sides)])

    [event] = book.events(1)
    assert event.details["role"] == role
    assert book.outcome.day(1, START_MS).fees == 100 * len(sides) * fee
    assert Decimal(event.details["fees"] or 0) == 100 * len(sides) * fee


def test_a_fill_of_an_unknown_base_waits_and_makes_no_event():
    book = Book(floors={})
    book.take([trade(0, 5, size="3", side=Side.SELL)])

    assert book.outcome.events == []
    assert book.size(1) == 0
    assert book.outcome.waiting == [
        these(1, "BTC", START_MS + 5, 3, 100, False),
        these(2, "BTC", START_MS + 5, -3, 100, True),
    ]
    assert book.outcome.day(1, START_MS).unknown_volume_usd == 300


@pytest.mark.parametrize(("at", "events"), [(9, 0), (10, 0), (11, 1)])
def test_a_fill_at_or_before_the_floor_is_in_the_snapshot_already(at, events):
    book = Book({1: "4"}, floors={"": START_MS + 10})
    book.take([trade(0, at)])

    assert len(book.events(1)) == events
    assert book.size(1) == 4 + events
    sums = book.outcome.day(1, START_MS)
    assert (sums.volume_usd, sums.unknown_volume_usd) == these(100, 100 * (1 - events))
    assert book.outcome.waiting == []


@pytest.mark.parametrize(("gap", "stale"), [(None, False), (-2, False), (-1, True), (5, True)])
def test_an_event_is_stale_unless_the_floor_is_later_than_the_last_gap(gap, stale):
    book = Book()
    book.take([trade(0, 2_009)], gap_until_ms=None if gap is None else START_MS + gap)

    assert {event.stale for event in book.outcome.events} == {stale}


def test_spot_and_outcomes_have_volume_and_no_position():
    book = Book()
    book.take([trade(0, 0, coin="@107"), trade(1, 0, coin="PURR/USDC"), trade(2, 0, coin="#250")])

    assert not book.outcome.events
    assert not book.outcome.waiting
    assert not any(held.has_changed for held in book.holdings.values())
    sums = book.outcome.day(1, START_MS)
    assert (sums.volume_usd, sums.unknown_volume_usd) == these(300, 0)


def test_who_trades_with_itself_has_washed_and_moved_nothing():
    book = Book({1: "4"})
    book.take([trade(0, 0, buyer=1, seller=1)])

    sums = book.outcome.day(1, START_MS)
    assert (sums.wash_volume_usd, sums.volume_usd, sums.fills) == these(100, 0, 0)
    assert (book.size(1), book.outcome.events) == these(4, [])
