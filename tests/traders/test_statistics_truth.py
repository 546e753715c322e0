"""The statistics against what accounts in the simulator have really earned, paid and deposited."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest

from simulator import Simulator, SimulatorConfig
from tests.traders.book import add_trader
from tests.traders.passes import meet, run
from tests.traders.states import T, held, record, state
from tests.traders.told_again import assert_statistics_follow_from_log
from traders.models import Ledger, RoundTrip, Trader, TraderDay

D = Decimal
HOUR_MS = 3_600_000


def flows(truth):
    return truth.deposits - truth.withdrawals


def total(trader, column):
    return sum(TraderDay.objects.filter(trader=trader).values_list(column, flat=True))


@pytest.mark.django_db(transaction=True)
def test_the_estimates_are_near_the_truth_where_accounts_are_tracked_closely():
    # About one trade of each trader between two passes.
    config = SimulatorConfig(seed=3, traders=60, warmup_trades=1500, trades_per_second=0.5)
    with Simulator(config) as sim:
        traders = meet(sim.traders())
        run(sim)
        before = {trader.address: sim.truth(trader.address) for trader in traders}
        rich = next(trader for trader in traders if before[trader.address].value > 5_000)
        for number in range(8):
            sim.step(seconds=75)
            if number == 4:
                sim.deposit(rich.address, 900)
            run(sim)
        after = {trader.address: sim.truth(trader.address) for trader in traders}

    assert_statistics_follow_from_log()
    assert RoundTrip.objects.filter(complete=True).exists()
    wrong_returns, wrong_realised = [], []
    for trader in traders:
        old, new = before[trader.address], after[trader.address]
        if abs(total(trader, "realised_gross") - (new.realised - old.realised)) > old.value / 100:
            wrong_realised.append(trader.address)
        index = Ledger.objects.get(trader=trader).nav
        if index is None:
            continue
        flow = flows(new) - flows(old)
        truly = (new.value - old.value - flow) / (old.value + max(flow, 0))
        if abs(index - 1 - truly) > D("0.01"):
            wrong_returns.append((trader.address, index, truly))
    assert (
        abs(total(rich, "net_flow") - flows(after[rich.address]) + flows(before[rich.address])) < 60
    )
    assert len(wrong_returns) <= 1, wrong_returns
    assert len(wrong_realised) <= 1, wrong_realised


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_the_statistics_follow_from_the_log(seed):
    random = Random(seed)
    traders = [add_trader(number) for number in (1, 2, 3)]
    books: dict[tuple[Trader, str], dict[str, tuple[Decimal, Decimal]]] = {
        (trader, dex): {} for trader in traders for dex in ("", "xyz")
    }
    coins = {"": ["BTC", "ETH", "ARB"], "xyz": ["xyz:TSLA"]}
    marks = {coin: D(100) for many in coins.values() for coin in many}
    at_ms = T
    for _ in range(60):
        at_ms += random.randrange(1_000, 2 * HOUR_MS)
        trader, dex = random.choice(list(books))
        book = books[trader, dex]
        for coin in coins[dex]:
            marks[coin] += random.randrange(-5, 6)
            if random.random() < 0.5:
                size = D(random.randrange(-3, 4))
                book[coin] = (size, D(random.randrange(90, 110)))
        positions = [
            held(
                *(coin, str(size), str(entry)),
                notional=abs(size) * marks[coin],
                funding_since_open=random.choice([None, D(random.randrange(-9, 9))]),
            )
            for coin, (size, entry) in book.items()
            if size
        ]
        value = random.choice(["0", "5", "1000", "1010", "50000"])
        record(trader, state(at_ms, *positions, value=value), dex=dex)

    assert RoundTrip.objects.exists()
    assert TraderDay.objects.exclude(nav_close=None).exists()
    assert_statistics_follow_from_log()
