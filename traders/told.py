"""What a node tells of a position before a fill: an exact base, with no snapshot (pure).

A node's fills name the position before each of them (`startPosition`), and a node is the exchange
itself. So what a block starts from is the truth up to the block before it: where the position is
unknown it becomes known, where it is stale it becomes fresh, and where the ledger has another size
the difference is a correction with an event of its own, as if a snapshot had shown it.

A fill tells no entry price, unless it closes something: `closedPnl` does then. Call it in
`episodes.EXACT`.
"""

from __future__ import annotations

from msgspec.structs import replace

from hlcopy.decimals import plain
from traders import episodes, positions
from traders.cursors import Start
from traders.doubts import AFTER_MS, Doubt
from traders.episodes import Episode
from traders.folding import Account, Block, Holding, take_step
from traders.knowledge import dex_of, floor_ms, is_stale
from traders.outcome import NewEvent, Outcome
from traders.positions import ZERO, Change


def take_start(
    block: Block,
    account: Account,
    holding: Holding,
    outcome: Outcome,
    start: Start,
    *,
    gap_until_ms: int | None,
) -> None:
    """Bring the holding and the ledger to what is told of them before the block.

    `gap_until_ms`: where the coin's last gap ends. A block that a snapshot holds already, or a
    later fill, tells nothing.
    """
    coin, before = block.coin, holding.episode
    floor = floor_ms(account.floors, account.bases, account.doubts, coin)
    if floor is not None and block.time_ms <= floor:
        return
    size = before.size if before else ZERO
    doubt = account.doubts.get(coin)
    if floor is None:
        holding.episode = _late(coin, start)
        holding.has_changed = holding.is_stored or holding.episode is not None
    elif size != start.size:
        is_missed = gap_until_ms is None or floor <= gap_until_ms
        is_drift = not is_missed and (doubt is None or Doubt.read(doubt).was_fresh)
        cause = "drift" if is_drift else "gap"
        outcome.corrections.append(
            (block.trader_id, coin, block.time_ms - 1, size, start.size, cause)
        )
        _correct(block, account, holding, outcome, start)
    else:
        if before and before.entry_price is None and start.entry_price is not None:
            holding.episode = replace(before, entry_price=start.entry_price)
            holding.has_changed = True
        stale = is_stale(
            floor, gap_until_ms=gap_until_ms, is_doubted=doubt is not None, is_followed=True
        )
        # So shortly after a snapshot only what is told here says that it did not hold the block.
        if not stale and block.time_ms > floor + AFTER_MS:
            return
    account.bases[coin] = block.time_ms - 1
    account.doubts.pop(coin, None)
    if account.floors.get(dex_of(coin), 0) >= block.time_ms:
        # A snapshot was judged without this block, so nothing has told of the time up to it.
        account.doubts[coin] = {"floor": block.time_ms - 1}
    account.has_changed = True
    outcome.told.add((block.trader_id, coin))


def _late(coin: str, start: Start) -> Episode | None:
    if not start.size:
        return None
    return episodes.watched_late(positions.Position(coin, start.size, start.entry_price))


def _correct(
    block: Block, account: Account, holding: Holding, outcome: Outcome, start: Start
) -> None:
    """Lead from the ledger's size to the one that is told; what happened in between nobody saw."""
    coin, at_ms, before = block.coin, block.time_ms - 1, holding.episode
    old = positions.Position(coin)
    if before:
        old = positions.Position(coin, before.size, before.entry_price)
        holding.episode = replace(before, opened_at_ms=None)
    outcome.leave_out(block.trader_id, None)
    new = positions.Position(coin, start.size, start.entry_price if start.size else ZERO)
    sums = outcome.day(block.trader_id, at_ms)
    for change in positions.diff({coin: old}, {coin: new}):
        details = _details(change, holding.episode)
        funding = None
        if change.kind == "CLOSE" and holding.funding is not None:
            funding = -holding.funding
        step = episodes.apply(
            holding.episode, change, price=change.price, at_ms=at_ms, funding=funding
        )
        take_step(step, block.trader_id, sums, outcome)
        holding.episode, holding.has_changed = step.episode, True
        if change.kind == "CLOSE":
            holding.funding = None
        sums.events += 1
        outcome.events.append(
            NewEvent(
                *(account.trader_id, account.address, change, "snapshot", at_ms),
                replayed=block.is_replayed,
                details=details,
            )
        )
    if holding.episode is not None:
        holding.episode = replace(holding.episode, opened_at_ms=None, entry_price=start.entry_price)


def _details(change: Change, before: Episode | None) -> dict[str, str | None]:
    """Return what the event tells beside its change."""
    details: dict[str, str | None] = {}
    if before is not None:
        known = before.entry_price
        details["entry_price"] = None if known is None else plain(known)
    if change.price is None:
        details["mark_price"] = None
    return details
