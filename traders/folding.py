"""What a batch of trades makes of positions, episodes, days and events (pure).

1. A trade is two fills. Those of one trader, coin and block in the same direction are one change at
   their volume-weighted price, in the order of the feed. A block that nets to nothing is an episode
   and volume, but no event.
2. A fill of a coin whose base is unknown waits: no event. One at or before the floor is in the
   snapshot already: volume alone.
3. The kind of each change follows from the position; the caller numbers and writes everything.

Sizes and prices are exact; amounts are USD (docs/scoring.md). Call it in `episodes.EXACT`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from exchange.wire import Side, Trade
from hlcopy.decimals import plain
from traders import episodes, positions
from traders.doubts import AFTER_MS
from traders.episodes import EXACT, MAKER_FEE, TAKER_FEE, Episode, usd
from traders.knowledge import dex_of, floor_ms, is_perpetual, is_stale
from traders.outcome import DaySums, NewEvent, Outcome
from traders.positions import ZERO, Change

#: A block older than this on arrival is told as `replayed`.
REPLAYED_AFTER_MS = 30_000
#: Nothing that is new comes so late; what a node's files tell of older times is in every snapshot.
LATE_MS = 300_000


class Account(msgspec.Struct):
    """What the ledger row of one trader says of its bases."""

    trader_id: int
    address: str
    floors: Mapping[str, int]
    bases: dict[str, int]
    doubts: dict[str, Mapping[str, object]]
    has_changed: bool = False


class Holding(msgspec.Struct):
    """An open position as its row has it; `funding` since it was opened, above zero paid."""

    episode: Episode | None = None
    funding: Decimal | None = None
    #: Whether there is a row.
    is_stored: bool = False
    has_changed: bool = False


class Group(msgspec.Struct):
    """What one trader bought, or sold, of one coin in one block."""

    is_bought: bool
    first_price: Decimal
    size: Decimal = ZERO
    notional: Decimal = ZERO
    taker_notional: Decimal = ZERO
    fills: int = 0

    @property
    def price(self) -> Decimal:
        """The volume-weighted price, to 18 decimals."""
        if self.fills == 1:
            return self.first_price
        return positions.rounded_price(EXACT.divide(self.notional, self.size))

    @property
    def role(self) -> str:
        """Whether the trader took, made, or did both."""
        if not self.taker_notional:
            return "maker"
        return "taker" if self.taker_notional == self.notional else "both"

    @property
    def fee_rate(self) -> Decimal:
        """The rate for its roles (docs/scoring.md): the exchange tells no fee publicly."""
        if not self.taker_notional:
            return MAKER_FEE
        made = self.notional - self.taker_notional
        if not made:
            return TAKER_FEE
        paid = self.taker_notional * TAKER_FEE + made * MAKER_FEE
        return EXACT.divide(paid, self.notional)


class Block(msgspec.Struct):
    """All that one trader did in one coin at one exchange time; at most one group a direction."""

    trader_id: int
    coin: str
    time_ms: int
    is_replayed: bool = False
    groups: list[Group] = msgspec.field(default_factory=list)
    fills: list[tuple[Decimal, Decimal, bool]] = msgspec.field(default_factory=list)

    @property
    def nets_to_nothing(self) -> bool:
        """Whether as much was bought as sold."""
        return len(self.groups) == 2 and self.groups[0].size == self.groups[1].size

    def add(self, signed_size: Decimal, price: Decimal, *, is_taker: bool) -> None:
        """Take in one fill."""
        is_bought = signed_size > 0
        for group in self.groups:
            if group.is_bought is is_bought:
                break
        else:
            group = Group(is_bought, price)
            self.groups.append(group)
        size = abs(signed_size)
        notional = price * size
        group.size += size
        group.notional += notional
        group.fills += 1
        if is_taker:
            group.taker_notional += notional
        self.fills.append((signed_size, price, is_taker))


def blocks(
    trades: Iterable[tuple[Trade, bool]], ids: Mapping[str, int], outcome: Outcome
) -> list[Block]:
    """Return the traders' blocks in the order of the feed; `trades` are (trade, replayed).

    Someone on both sides of a trade has moved nothing: that is counted as washed, here.
    """
    found: dict[tuple[int, str, int], Block] = {}
    for trade, replayed in trades:
        # A node tells some trades of one side alone.
        buyer, seller = ids.get(trade.buyer), ids.get(trade.seller)
        if buyer is not None and buyer == seller:
            sums = outcome.day(buyer, trade.time_ms)
            sums.wash_volume_usd += usd(trade.price * trade.size) or ZERO
            continue
        is_bought = trade.side is Side.BUY
        for trader_id, size, is_taker in (
            (buyer, trade.size, is_bought),
            (seller, -trade.size, not is_bought),
        ):
            if trader_id is None:
                continue
            key = (trader_id, trade.coin, trade.time_ms)
            block = found.get(key)
            if block is None:
                block = found[key] = Block(*key, is_replayed=replayed)
            block.add(size, trade.price, is_taker=is_taker)
    return list(found.values())


def fold(
    block: Block, account: Account, holding: Holding, outcome: Outcome, *, gap_until_ms: int | None
) -> None:
    """Take one trader's block into its holding and the outcome.

    `gap_until_ms`: where the coin's last gap ends. The holding is that of the block's coin.
    """
    sums = outcome.day(block.trader_id, block.time_ms)
    floor = floor_ms(account.floors, account.bases, account.doubts, block.coin)
    is_counted_alone = floor is None or block.time_ms <= floor
    fees = _count_volume(block, sums, is_counted_alone=is_counted_alone)
    if not is_perpetual(block.coin):
        return
    _doubt_snapshot(block, account)
    if floor is None:
        outcome.leave_out(block.trader_id, None)
        outcome.waiting += ((block.trader_id, block.coin, block.time_ms, *f) for f in block.fills)
        return
    is_elsewhere = ":" in block.coin
    if is_counted_alone or is_elsewhere:
        outcome.leave_out(block.trader_id, -fees)
    if is_counted_alone:
        return
    stale = is_stale(
        floor,
        gap_until_ms=gap_until_ms,
        is_doubted=block.coin in account.doubts,
        is_followed=True,
    )
    for group in block.groups:
        for change, step, before in steps(holding, block, group):
            take_step(step, block.trader_id, sums, outcome)
            if is_elsewhere:
                outcome.leave_out(block.trader_id, step.realised or ZERO)
            if not block.nets_to_nothing:
                sums.events += 1
                is_closing = change.kind in {"CLOSE", "DECREASE"}
                details = _details(group, step, before, is_closing=is_closing)
                outcome.events.append(
                    NewEvent(
                        *(account.trader_id, account.address, change, "feed", block.time_ms),
                        *(stale, block.is_replayed, details),
                    )
                )


def _doubt_snapshot(block: Block, account: Account) -> None:
    """Doubt what a snapshot has told of the coin where it was judged without this late block.

    It may hold the block or not, and where it does, another fill may have stood in for it.
    """
    coin, time_ms, doubt = block.coin, block.time_ms, account.doubts.get(block.coin)
    if doubt is not None:
        at_ms = doubt.get("at")
        if not isinstance(at_ms, int) or time_ms > at_ms + AFTER_MS:
            return
        kept = {name: doubt[name] for name in ("floor", "cut") if name in doubt}
    else:
        floor, base = account.floors.get(dex_of(coin)), account.bases.get(coin, 0)
        if floor is None:
            return
        until_ms = base if base > floor else floor + AFTER_MS
        if not floor - LATE_MS < time_ms <= until_ms:
            return
        kept = {"floor": max(floor, base)}
    account.doubts[coin] = kept
    account.has_changed = True


def _count_volume(block: Block, sums: DaySums, *, is_counted_alone: bool) -> Decimal:
    """Count what needs no position; return the fees, which spot and outcomes have not."""
    fees = ZERO
    for group in block.groups:
        volume = usd(group.notional) or ZERO
        sums.fills += group.fills
        sums.volume_usd += volume
        if group.taker_notional:
            sums.taker_volume_usd += usd(group.taker_notional) or ZERO
        if is_perpetual(block.coin):
            fees += usd(group.notional * group.fee_rate) or ZERO
            sums.unknown_volume_usd += volume if is_counted_alone else ZERO
    sums.fees += fees
    return fees


def steps(
    holding: Holding, block: Block, group: Group
) -> Iterable[tuple[Change, episodes.Step, Episode | None]]:
    """Apply a group to the holding; yield each change, its step, and the episode before it."""
    price, fee_rate = group.price, group.fee_rate
    size = holding.episode.size if holding.episode else ZERO
    moved = EXACT.add if group.is_bought else EXACT.subtract
    for change in positions.changes(block.coin, size, moved(size, group.size), price):
        before = holding.episode
        funding = None
        if change.kind == "CLOSE" and holding.funding is not None:
            funding = -holding.funding
        step = episodes.apply(
            before,
            change,
            price=price,
            at_ms=block.time_ms,
            fee_rate=fee_rate,
            funding=funding,
        )
        holding.episode, holding.has_changed = step.episode, True
        if change.kind == "CLOSE":
            holding.funding = None
        yield change, step, before


def take_step(step: episodes.Step, trader_id: int, sums: DaySums, outcome: Outcome) -> None:
    """Count what a step has realised, and the round trip that it ended."""
    sums.realised_gross += step.realised or ZERO
    if step.realised is None:
        outcome.leave_out(trader_id, None)
    if step.round_trip:
        sums.add_round_trip(step.round_trip)
        outcome.round_trips.append((trader_id, step.round_trip))


def _details(
    group: Group, step: episodes.Step, before: Episode | None, *, is_closing: bool
) -> dict[str, str | None]:
    """Return what an event tells beside its change; `realised_pnl` is before fees."""
    details: dict[str, str | None] = {"role": group.role, "fees": plain(step.fee)}
    if before is not None:
        known = before.entry_price
        details["entry_price"] = None if known is None else plain(known)
    if step.realised is not None and is_closing:
        details["realised_pnl"] = plain(step.realised)
    if step.round_trip is not None:
        funding = step.round_trip.funding
        details["funding"] = None if funding is None else plain(funding)
    return details
