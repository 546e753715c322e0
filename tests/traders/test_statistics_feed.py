"""What an account has earned between two snapshots where the feed has moved its positions."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hlcopy.clock import from_ms
from tests.traders.book import add_trader
from tests.traders.states import T, held, record, state
from tests.traders.told_again import assert_statistics_follow_from_log
from traders import days
from traders.models import Ledger, Position, RoundTrip, TraderDay
from traders.statistics import MARK_LASTS_MS, Statistics

pytestmark = pytest.mark.django_db

D = Decimal


@pytest.fixture
def trader():
    return add_trader(7)


def bitcoin(size, mark):
    return held("BTC", size, "100", notional=abs(D(size) * D(mark)))


def fed(trader, realised, *, fees="0", at_ms=T, **position):
    """Do what the feed does: a day's sums, and the position's row."""
    day = from_ms(at_ms).date()
    row = TraderDay(trader=trader, day=day, realised_gross=D(realised), fees=D(fees), fills=1)
    days.write([row])
    Position.objects.filter(trader=trader).update(**position)


def flow(trader):
    return sum(TraderDay.objects.filter(trader=trader).values_list("net_flow", flat=True))


def confirm(trader, at_ms, size, mark, value, *, held_as=None, **values):
    """Take in a snapshot that says what the ledger knew of that time."""
    ledger, told = Ledger.objects.get(), Position(size=D(size), entry_price=D(100))
    told.coin, told.mark_price = "BTC", D(mark)
    statistics = Statistics(trader.pk, ledger)
    statistics.add(
        *("", {"BTC": held_as or Position.objects.get()}, {"BTC": told}, ()),
        time_ms=at_ms,
        account_value=D(value),
        **values,
    )
    statistics.write()
    ledger.save()


def test_what_the_feed_has_realised_is_earned_and_no_deposit(trader):
    record(trader, state(T, bitcoin("20", "100"), value="1000"))
    fed(trader, 500, fees="50", size=D(10))
    record(trader, state(T + 1, bitcoin("10", "150"), value="1950"))

    assert flow(trader) == 0
    assert TraderDay.objects.get().nav_close == D("1.95")


def test_a_deposit_beside_what_the_feed_has_realised_is_told_from_it(trader):
    record(trader, state(T, bitcoin("20", "100"), value="1000"))
    fed(trader, 500, fees="50", size=D(10))
    record(trader, state(T + 1, bitcoin("10", "150"), value="2950"))

    assert flow(trader) == 1000


def test_what_was_realised_is_counted_once_however_many_snapshots_and_days_follow(trader):
    record(trader, state(T, bitcoin("20", "100"), value="1000"))
    fed(trader, 500, size=D(10))
    fed(trader, 300, at_ms=T + 86_400_000)
    values = ["2300", "2300", "2300"]
    record(
        trader,
        *(state(T + n, bitcoin("10", "150"), value=value) for n, value in enumerate(values, 1)),
    )

    assert flow(trader) == 0
    assert Ledger.objects.get().realised_pnl == 800


def test_a_reduction_that_only_the_snapshot_shows_adds_to_what_the_feed_has_told(trader):
    record(trader, state(T, bitcoin("20", "100"), value="1000"))
    fed(trader, 500, size=D(10))
    record(trader, state(T + 1, bitcoin("4", "150"), value="1999.595"))

    day = TraderDay.objects.get()
    assert (day.realised_gross, day.fees, day.net_flow) == (800, D("0.405"), 0)
    assert Ledger.objects.get().realised_pnl == D("799.595")


def test_what_the_feed_realised_after_the_snapshots_time_belongs_to_the_next_one(trader):
    record(trader, state(T, bitcoin("20", "100"), value="1000"))
    fed(trader, 500, size=D(10))

    confirm(trader, T + 1, "20", "150", "2000", later_pnl=D(500))
    assert (flow(trader), TraderDay.objects.get().nav_close) == (0, 2)

    confirm(trader, T + 9, "10", "150", "2000")
    assert (flow(trader), TraderDay.objects.get().nav_close) == (0, 2)


def test_the_entry_price_after_later_fills_is_not_that_of_the_snapshot(trader):
    record(trader, state(T, bitcoin("20", "100"), value="1000"))
    fed(trader, 0, size=D(40), entry_price=D(125))

    confirm(trader, T + 1, "20", "150", "2000")

    assert flow(trader) == 0


def test_nothing_is_inferred_up_to_a_snapshot_in_doubt_nor_from_it(trader):
    record(trader, state(T, bitcoin("20", "100"), value="1000"))
    confirm(trader, T + 1, "20", "100", "2000", is_whole=False)
    confirm(trader, T + 2, "20", "100", "3000")
    assert flow(trader) == 0

    confirm(trader, T + 3, "20", "100", "4000")
    assert flow(trader) == 1000


def test_nothing_is_inferred_where_no_entry_price_was_told(trader):
    record(trader, state(T, bitcoin("20", "100"), value="1000"))
    row = Position.objects.get()
    row.entry_price = None
    confirm(trader, T + 1, "10", "150", "2000", held_as=row)

    assert flow(trader) == 0


def test_an_entry_price_that_moved_unseen_is_no_loss(trader):
    record(
        trader,
        state(T, bitcoin("10", "150"), value="1000"),
        state(T + 1, held("BTC", "10", "140", notional=D(1500)), value="1000"),
        state(T + 2, held("BTC", "10", "140", notional=D(1600)), value="1100"),
    )

    assert flow(trader) == 0


def test_what_another_dex_has_realised_is_no_withdrawal(trader):
    tesla = [held("xyz:TSLA", size, "100") for size in ("30", "10")]
    record(trader, state(T, bitcoin("1", "100"), value="1000"))
    record(trader, *(state(T + n, one) for n, one in enumerate(tesla)), dex="xyz")
    won = held("xyz:TSLA", "5", "100", notional=D(5 * 150))
    record(trader, state(T + 3, won), dex="xyz")
    assert TraderDay.objects.get().realised_gross == 250

    record(trader, state(T + 4, bitcoin("1", "100"), value="1000"))

    assert flow(trader) == 0
    assert_statistics_follow_from_log()


def test_what_the_feed_realised_on_another_dex_is_left_out(trader):
    record(trader, state(T, bitcoin("1", "100"), value="1000"))
    fed(trader, 500)
    days.leave_out({trader.pk: D(500)})
    record(trader, state(T + 1, bitcoin("1", "100"), value="1000"))

    assert flow(trader) == 0


def test_fills_of_an_unknown_position_make_nothing_a_deposit_until_the_next_snapshot(trader):
    record(trader, state(T, bitcoin("1", "100"), value="1000"))
    days.leave_out({trader.pk: None})
    days.leave_out({trader.pk: D(5)})
    record(trader, state(T + 1, bitcoin("1", "100"), value="1500"))
    assert flow(trader) == 0

    record(trader, state(T + 2, bitcoin("1", "100"), value="2500"))

    assert flow(trader) == 1000


def test_an_unknown_price_is_unknown_for_its_own_snapshot_alone(trader):
    ether = held("ETH", "1")
    record(trader, state(T, bitcoin("10", "100"), ether, value="1000"))
    later = T + MARK_LASTS_MS + 1
    record(trader, state(later, ether, value="5000"), state(later + 1, ether, value="6000"))

    assert RoundTrip.objects.get().gross_pnl is None
    assert flow(trader) == 1000


def test_days_of_many_traders_are_added_at_once():
    traders = [add_trader(number) for number in (1, 2)]
    dates = [from_ms(T).date(), from_ms(T + 86_400_000).date()]
    for _ in range(2):
        days.write(
            TraderDay(
                trader=trader,
                day=day,
                fills=number,
                unknown_volume_usd=D("0.5"),
                wash_volume_usd=D("1E-18"),
                equity_min=D(number),
            )
            for number, trader in enumerate(traders, 1)
            for day in dates
        )

    rows = TraderDay.objects.order_by("trader_id", "day")
    told = rows.values_list("trader_id", "day", "fills", "equity_min", "unknown_volume_usd")
    assert list(told) == [
        (trader.pk, day, 2 * number, number, 1)
        for number, trader in enumerate(traders, 1)
        for day in dates
    ]
    assert set(rows.values_list("wash_volume_usd", flat=True)) == {D("2E-18")}
    assert days.realised_pnl(traders[0].pk) == 0
    days.write([])


def test_every_number_of_a_day_is_added_when_a_day_is():
    beside = {"id", "trader", "day", "folded_since", "drawdown"}

    assert {field.name for field in TraderDay._meta.fields} == beside | set(days.NUMBERS)
