"""The one door to positions and events: baseline, floor, differences, second look."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import DataError

from tests.traders.book import add_trader
from tests.traders.states import SIZE_DECIMALS, T, held, record, state
from traders.models import AccountSnapshot, EventHead, Healing, Ledger, Position, PositionEvent
from traders.recording import record_snapshots
from traders.snapshots import known_value, on_grid
from traders.verdicts import Verdict

pytestmark = pytest.mark.django_db


@pytest.fixture
def trader():
    return add_trader(7)


def events(**filters):
    rows = PositionEvent.objects.filter(**filters).order_by("id")
    return [(row.kind, row.coin, row.side, row.size_before, row.size_after) for row in rows]


def sizes(dex=""):
    return dict(Position.objects.filter(dex=dex).values_list("coin", "size"))


def test_the_first_snapshot_is_the_baseline_and_makes_no_event(trader):
    [recorded] = record(trader, state(T, held("BTC", "2"), held("ETH", "-3")))

    assert recorded.verdicts == {"": Verdict.BASELINE}
    assert sizes() == {"BTC": 2, "ETH": -3}
    assert events() == []
    assert Ledger.objects.get().floors == {"": T}


def test_a_later_snapshot_makes_an_event_of_every_difference(trader):
    record(
        trader,
        state(T, held("BTC", "2", "100"), held("ETH", "-3"), held("ARB", "5")),
        state(
            T + 1,
            held("BTC", "3", "110", notional=Decimal(390)),
            held("ETH", "2", "90"),
            held("ARB", "4"),
        ),
    )

    assert events() == [
        ("DECREASE", "ARB", "SELL", 5, 4),
        ("INCREASE", "BTC", "BUY", 2, 3),
        ("CLOSE", "ETH", "BUY", -3, 0),
        ("OPEN", "ETH", "BUY", 0, 2),
    ]
    prices = PositionEvent.objects.order_by("id").values_list("price", flat=True)
    assert list(prices) == [None, 130, None, 90]
    event = PositionEvent.objects.get(pk=1)
    assert (event.source, event.exchange_time_ms, event.stale) == ("snapshot", T + 1, False)
    assert event.trader_address == trader.address
    assert EventHead.objects.get().head == 4
    assert sizes() == {"BTC": 3, "ETH": 2, "ARB": 4}


def test_what_only_a_snapshot_knows_is_refreshed_without_an_event(trader):
    later = held("BTC", "2", leverage=3, leverage_type="isolated", liquidation_price=Decimal(50))
    record(trader, state(T, held("BTC", "2")), state(T + 9, later))

    position = Position.objects.get()
    assert (position.leverage, position.leverage_type) == (3, "isolated")
    assert (position.liquidation_price, position.as_of_ms) == (50, T + 9)
    assert events() == []


def test_a_snapshot_at_or_below_the_floor_is_stored_and_not_applied(trader):
    *_, same, older = record(
        trader,
        state(T, held("BTC", "2")),
        state(T, held("BTC", "3")),
        state(T - 1, held("BTC", "4")),
    )

    assert [same.verdicts[""], older.verdicts[""]] == [Verdict.OLD, Verdict.OLD]
    assert sizes() == {"BTC": 2}
    assert events() == []
    stored = AccountSnapshot.objects.order_by("id").values_list("state_time_ms", "applied")
    assert list(stored) == [(T, True), (T, False), (T - 1, False)]


def test_a_reply_without_any_position_waits_for_a_second_look(trader):
    _, emptied = record(trader, state(T, held("BTC", "2")), state(T + 1))

    assert emptied.verdicts == {"": Verdict.WAITS}
    assert emptied.look_again is Healing.DOUBT
    assert sizes() == {"BTC": 2}
    assert events() == []


def test_the_second_look_closes_what_is_really_gone(trader):
    *_, early, confirmed = record(
        trader, state(T, held("BTC", "2")), state(T + 1), state(T + 5_000), state(T + 5_001)
    )

    assert (early.verdicts[""], early.look_again) == (Verdict.WAITS, Healing.DOUBT)
    assert (confirmed.verdicts[""], confirmed.look_again) == (Verdict.APPLIED, None)
    assert events() == [("CLOSE", "BTC", "SELL", 2, 0)]
    assert PositionEvent.objects.get().exchange_time_ms == T + 5_001
    assert sizes() == {}
    assert Ledger.objects.get().emptied == {}


def test_the_second_look_finds_everything_still_there(trader):
    *_, again, emptied = record(
        trader,
        state(T, held("BTC", "2")),
        state(T + 1),
        state(T + 9_000, held("BTC", "2")),
        state(T + 10_000),
    )

    assert (again.verdicts[""], again.look_again) == (Verdict.APPLIED, None)
    assert emptied.verdicts == {"": Verdict.WAITS}
    assert events() == []


def test_each_dex_has_a_floor_and_positions_of_its_own(trader):
    record(trader, state(T, held("BTC", "2")))
    record(trader, state(T - 50, held("xyz:TSLA", "1")), dex="xyz")
    record(trader, state(T + 1, held("BTC", "2")))

    assert (sizes(), sizes("xyz")) == ({"BTC": 2}, {"xyz:TSLA": 1})
    assert events() == []
    assert Ledger.objects.get().floors == {"": T + 1, "xyz": T - 50}


def test_the_noise_of_floats_is_no_difference(trader):
    record(
        trader,
        state(T, held("ARB", "1064075.6")),
        state(T + 1, held("ARB", "1064075.6000000001")),
        state(T + 2, held("ARB", "1064075.5999999999"), held("BTC", "0.00000000001")),
    )

    assert events() == []
    assert sizes() == {"ARB": Decimal("1064075.6")}


def test_a_coin_that_is_not_listed_yet_keeps_its_size_once_it_is():
    noisy = Decimal("1161681.8999999999")

    assert on_grid(noisy, "NEW", {}) == on_grid(noisy, "NEW", {"NEW": 1}) == Decimal("1161681.9")
    assert on_grid(Decimal("0.00012345"), "NEW", {}) == Decimal("0.00012345")


def test_a_value_that_may_stand_on_the_spot_side_is_unknown():
    position = held("BTC", "1", "8000")  # maintenance: 8000 / (2 * 40) = 100

    assert known_value(state(T, value="0")) is None
    assert known_value(state(T, position, value="0")) is None
    assert known_value(state(T, position, value="99.9")) is None
    assert known_value(state(T, position, value="100")) == 100
    assert known_value(state(T, value="12.5")) == Decimal("12.5")


def test_an_unknown_value_is_stored_as_null(trader):
    record(trader, state(T, held("BTC", "1", "8000"), value="0"))

    snapshot = AccountSnapshot.objects.get()
    assert (snapshot.account_value, snapshot.withdrawable) == (None, None)
    assert snapshot.total_notional == 8000


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_that_cannot_be_written_leaves_nothing_behind(trader):
    record(trader, state(T, held("BTC", "2")))
    impossible = held("ETH", "1", leverage=10**9)

    with pytest.raises(DataError):
        record_snapshots(
            trader.pk,
            trader.address,
            {"": state(T + 1, held("BTC", "3"), impossible)},
            size_decimals=SIZE_DECIMALS,
            fetched_at=trader.first_seen_at,
        )

    assert events() == []
    assert sizes() == {"BTC": 2}
    assert AccountSnapshot.objects.count() == 1
    assert Ledger.objects.get().floors == {"": T}
