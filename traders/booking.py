"""Brings counted trades into the book: positions, days, round trips, waiting fills.

The traders that the trades touch are locked all at once, and taken share by share: while one share
is folded here, PostgreSQL writes what the last one has become.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from django.db import IntegrityError

from exchange.wire import Trade
from traders import bulk, days, folding, ledgers
from traders.counting import CoinBatch
from traders.folding import Account, Block, Holding
from traders.knowledge import is_perpetual
from traders.outcome import Outcome
from traders.told import take_start

#: A share is worth its statements from so many blocks on; more shares than these save no time.
SHARE_BLOCKS = 250
MOST_SHARES = 4
Share = list[tuple[int, Block]]
K = TypeVar("K")
V = TypeVar("V")


def book(
    counted: Sequence[tuple[Trade, bool]],
    ids: Mapping[str, int],
    coins: Mapping[str, CoinBatch],
) -> Outcome:
    """Fold the trades, (trade, replayed), and write what they change; `append` does the rest.

    `ids`: the traders' numbers by address. The outcome's events are in the order of the feed. Call
    it in `writing()`, `bulk.together()` and `episodes.EXACT`, with the coins' cursors locked;
    raises django.db.Error, IntegrityError where a number is nobody's.
    """
    outcome = Outcome()
    blocks = folding.blocks(counted, ids, outcome)
    # Who only washed has a day that changes.
    touched = {block.trader_id for block in blocks} | {trader_id for trader_id, _ in outcome.days}
    addresses = {number: address for address, number in ids.items() if number in touched}
    accounts, holdings = ledgers.lock(
        addresses, ((block.trader_id, block.coin) for block in blocks)
    )
    if len(accounts) < len(addresses):
        raise IntegrityError("a trader of the batch is gone: its number was of another database")
    # Of each event, its block's.
    places: list[int] = []
    shares = _shares(blocks)
    for number, share in enumerate(shares):
        for place, block in share:
            _fold(block, accounts[block.trader_id], holdings, coins[block.coin], outcome)
            places += [place] * (len(outcome.events) - len(places))
        bulk.write_positions(_of(holdings, number, len(shares)))
        bulk.add_to_days(_of(outcome.days, number, len(shares)))
    _write_rest(accounts, outcome)
    in_order = sorted(range(len(places)), key=places.__getitem__)
    outcome.events = [outcome.events[number] for number in in_order]
    return outcome


def append(outcome: Outcome) -> None:
    """Append what has ended, and what waits; the events are the log's (`traders.eventlog`)."""
    bulk.add_round_trips(outcome.round_trips, estimated=False)
    bulk.add_waiting([fill for fill in outcome.waiting if fill[:2] not in outcome.told])


def _shares(blocks: Sequence[Block]) -> list[Share]:
    """Part the blocks, with their places in the feed, by trader."""
    count = max(1, min(MOST_SHARES, len(blocks) // SHARE_BLOCKS))
    shares: list[Share] = [[] for _ in range(count)]
    for place, block in enumerate(blocks):
        shares[block.trader_id % count].append((place, block))
    return shares


def _of(rows: Mapping[tuple[int, K], V], share: int, shares: int) -> dict[tuple[int, K], V]:
    """Return the rows of a share's traders."""
    return {key: row for key, row in rows.items() if key[0] % shares == share}


def _fold(
    block: Block,
    account: Account,
    holdings: Mapping[tuple[int, str], Holding],
    coin: CoinBatch,
    outcome: Outcome,
) -> None:
    """Take a block into what its trader holds, after what a node has told of it, if one has."""
    holding, until_ms = holdings[block.trader_id, block.coin], coin.gap_until_ms
    start = coin.starts.get((account.address, block.time_ms))
    if start is not None and is_perpetual(block.coin):
        take_start(block, account, holding, outcome, start, gap_until_ms=until_ms)
    folding.fold(block, account, holding, outcome, gap_until_ms=until_ms)


def _write_rest(accounts: Mapping[int, Account], outcome: Outcome) -> None:
    """Write what few traders of a batch have."""
    bulk.write_ledgers(account for account in accounts.values() if account.has_changed)
    bulk.add_corrections(outcome.corrections)
    bulk.remove_waiting(outcome.told)
    days.leave_out(outcome.left_out)
