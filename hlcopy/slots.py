"""Arithmetic of periodic slots (pure): slot n of a period covers [n * period, (n + 1) * period)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def slot_at(now: datetime, period_seconds: int) -> int:
    """Return the slot that `now` (aware) lies in; every machine computes the same one."""
    return int(now.timestamp()) // period_seconds


def begins_at(slot: int, period_seconds: int) -> datetime:
    """Return the aware UTC time at which the slot begins."""
    return datetime.fromtimestamp(slot * period_seconds, UTC)


def until_next(now: datetime, period_seconds: int) -> timedelta:
    """Return how long `now`'s slot still lasts; above zero, at most one period."""
    return begins_at(slot_at(now, period_seconds) + 1, period_seconds) - now
