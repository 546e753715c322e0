"""Real accounts' fills as trades of the feed: positions, directions and earnings are reproduced."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal, localcontext
from itertools import groupby
from typing import Any

import pytest

from exchange.wire import Side, Trade
from tests.traders.test_positions_recorded import DATA, direction, fills_by_coin, recordings
from traders import folding
from traders.episodes import EXACT, Episode
from traders.folding import Account, Holding
from traders.outcome import Outcome

pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the recorded accounts are not at hand"),
]
ACCOUNT = Account(1, "0xa", floors={"": 0, "xyz": 0}, bases={}, doubts={})


def trade(row: dict[str, Any]) -> Trade:
    """Return a fill of the account as the feed shows it, the other side being nobody."""
    bought = row["side"] == "B"
    took = bought if row["crossed"] else not bought
    return Trade(
        coin=row["coin"],
        side=Side.BUY if took else Side.SELL,
        price=Decimal(row["px"]),
        size=Decimal(row["sz"]),
        time_ms=row["time"],
        tid=row["tid"],
        hash="",
        buyer="0xa" if bought else "0xb",
        seller="0xb" if bought else "0xa",
    )


def fold(rows: Iterable[dict[str, Any]], holding: Holding, outcome: Outcome) -> None:
    """Fold one batch of an account's fills of one coin."""
    trades = [(trade(row), False) for row in rows]
    with localcontext(EXACT):
        for block in folding.blocks(trades, {"0xa": 1, "0xb": 2}, outcome):
            if block.trader_id == 1:
                folding.fold(block, ACCOUNT, holding, outcome, gap_until_ms=None)


def started(coin: str, rows: Sequence[dict[str, Any]]) -> Holding:
    """Return what the account held before its first fill, at the price that its first close tells.

    A reduction by q of a position with entry price e tells sign * (price - e) * q.
    """
    start = Decimal(rows[0]["startPosition"])
    if not start:
        return Holding()
    sign = 1 if start > 0 else -1
    held, added = abs(start), Decimal(0)
    entry_price = Decimal(rows[0]["px"])
    for row in rows:
        size, price = Decimal(row["sz"]), Decimal(row["px"])
        if (row["side"] == "B") is (start > 0):
            held, added = held + size, added + size * price
            continue
        average = price - sign * Decimal(row["closedPnl"]) / min(size, held)
        entry_price = (average * held - added) / abs(start)
        break
    return Holding(Episode(coin, start, entry_price, None, abs(start)))


@pytest.mark.parametrize("path", recordings(), ids=lambda path: path.stem)
def test_every_fill_of_a_recorded_account_begins_where_the_fold_stands(path):
    for coin, rows in fills_by_coin(path).items():
        holding, outcome = started(coin, rows), Outcome()
        for row in rows:
            assert (holding.episode.size if holding.episode else 0) == Decimal(row["startPosition"])
            fold([row], holding, outcome)
            changes = [event.change for event in outcome.events]
            assert direction(changes) == row["dir"], (coin, row["tid"])
            outcome.events.clear()


@pytest.mark.parametrize("path", recordings(), ids=lambda path: path.stem)
def test_blocks_of_a_recorded_account_lead_to_the_same_positions(path):
    for coin, rows in fills_by_coin(path).items():
        holding, outcome = started(coin, rows), Outcome()
        for _, block in groupby(rows, key=lambda row: row["time"]):
            whole = list(block)
            fold(whole, holding, outcome)
            size = holding.episode.size if holding.episode else Decimal(0)
            last = whole[-1]
            signed = Decimal(last["sz"]) * (1 if last["side"] == "B" else -1)
            assert size == Decimal(last["startPosition"]) + signed
        assert sum(day.fills for day in outcome.days.values()) == len(rows)


def test_what_recorded_accounts_realised_is_told_within_a_thousandth():
    told = ours = Decimal(0)
    for path in recordings():
        for coin, rows in fills_by_coin(path).items():
            holding, outcome = started(coin, rows), Outcome()
            for row in rows:
                fold([row], holding, outcome)
            told += sum(Decimal(row["closedPnl"]) for row in rows)
            ours += sum(day.realised_gross for day in outcome.days.values())

    assert told > 1000
    assert abs(ours - told) < told / 1000
