"""Tells episodes, round trips and days again from the event log, and compares."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from itertools import pairwise
from typing import Any

from msgspec.structs import replace

from hlcopy.clock import from_ms
from traders import episodes
from traders.models import AccountSnapshot, PositionEvent, RoundTrip, TraderDay
from traders.models import Position as Row
from traders.positions import Change, Position

SUMS = (
    *("volume_usd", "events", "closed", "wins", "losses", "gross_profit", "gross_loss"),
    *("realised_gross", "fees", "held_ms", "completed"),
    *("estimated_events", "estimated_volume_usd"),
)
ENDED = (
    *("side", "opened_at_ms", "closed_at_ms", "peak_size", "entry_price", "gross_pnl", "fees"),
    *("funding", "net_pnl", "complete"),
)


def assert_statistics_follow_from_log() -> None:
    """Check every row of the statistics against a pure fold over the events and the snapshots."""
    running, ended, days = fold()
    assert open_episodes() == {key: as_stored(episode) for key, episode in running.items()}
    assert round_trips() == ended
    kept = {}
    for row in TraderDay.objects.all():
        sums = {name: getattr(row, name) for name in SUMS}
        if any(sums.values()):
            kept[row.trader_id, row.day] = sums
    assert kept == days
    assert_equity_is_that_of_the_snapshots()


def fold():
    """Return (open episodes, round trips, sums of days) as the event log alone tells them."""
    running: dict[tuple[int, str], episodes.Episode] = {}
    ended = defaultdict(list)
    days: dict[Any, Any] = defaultdict(lambda: dict.fromkeys(SUMS, Decimal(0)))
    for event in PositionEvent.objects.order_by("id"):
        told, key = event.details, (event.trader_id, event.coin)
        change = change_of(event)
        episode = running.pop(key, None)
        if event.size_before:
            # The exchange's own, which may have moved by what nobody saw.
            entry = Decimal(told["entry_price"])
            episode = replace(
                episode or episodes.watched_late(Position(event.coin, event.size_before, entry)),
                entry_price=entry,
            )
        step = episodes.apply(
            episode,
            change,
            price=event.price or optional(told.get("mark_price")),
            at_ms=event.exchange_time_ms,
            funding=optional(told.get("funding")),
        )
        if step.episode:
            running[key] = step.episode
        day = days[event.trader_id, from_ms(event.exchange_time_ms).date()]
        day["events"] += 1
        day["volume_usd"] += step.volume
        if event.source == PositionEvent.Source.SNAPSHOT:
            day["estimated_events"] += 1
            day["estimated_volume_usd"] += step.volume
        day["fees"] += step.fee
        day["realised_gross"] += step.realised or 0
        if step.round_trip:
            ended[key].append(tuple(getattr(step.round_trip, name) for name in ENDED))
            add_round_trip(day, step.round_trip)
    return running, dict(ended), dict(days)


def change_of(event: Any) -> Change:
    return Change(
        *(event.kind, event.coin, event.side, event.size_before, event.size_after, event.price)
    )


def add_round_trip(day, trip):
    net = trip.net_pnl if trip.complete else None
    day["closed"] += 1
    day["completed"] += trip.complete
    day["held_ms"] += trip.closed_at_ms - trip.opened_at_ms if trip.complete else 0
    day["wins"] += net is not None and net > 0
    day["losses"] += net is not None and net < 0
    day["gross_profit"] += max(net or 0, 0)
    day["gross_loss"] += max(-(net or 0), 0)


def open_episodes():
    """Return the episodes of the positions that have changed since their traders are watched."""
    changed = set(PositionEvent.objects.values_list("trader_id", "coin"))
    return {
        (row.trader_id, row.coin): as_stored(row)
        for row in Row.objects.all()
        if (row.trader_id, row.coin) in changed
    }


def as_stored(episode):
    """Return what a position's row has of its episode; the entry price is as last told."""
    names = ("coin", "size", "opened_at_ms", "peak_size", "realised_pnl", "fees")
    return tuple(getattr(episode, name) for name in names)


def round_trips():
    rows = defaultdict(list)
    for row in RoundTrip.objects.order_by("id"):
        assert row.dex == row.coin.rpartition(":")[0]
        assert row.estimated
        rows[row.trader_id, row.coin].append(tuple(getattr(row, name) for name in ENDED))
    return dict(rows)


def assert_equity_is_that_of_the_snapshots() -> None:
    values = defaultdict(list)
    for reply in AccountSnapshot.objects.filter(dex="", applied=True).order_by("id"):
        day = from_ms(reply.state_time_ms).date()
        values[reply.trader_id, day].append(reply.account_value)
    for row in TraderDay.objects.all():
        many = values.pop((row.trader_id, row.day), [])
        known = [value for value in many if value is not None]
        expected = (known[0], known[-1], min(known), max(known)) if known else (None,) * 4
        assert row.snapshots == len(many)
        assert (row.equity_open, row.equity_close, row.equity_min, row.equity_max) == expected
        if row.nav_close is not None:
            assert row.nav_min <= min(row.nav_open, row.nav_close)
            assert row.nav_max >= max(row.nav_open, row.nav_close)
    assert not values
    of_trader = defaultdict(list)
    for row in TraderDay.objects.exclude(nav_close=None).order_by("day"):
        of_trader[row.trader_id].append(row)
    for rows in of_trader.values():
        assert rows[0].nav_open == 1
        assert all(after.nav_open == before.nav_close for before, after in pairwise(rows))


def optional(text):
    return None if text is None else Decimal(text)
