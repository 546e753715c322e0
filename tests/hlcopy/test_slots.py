"""Laws of the slot arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hlcopy.slots import begins_at, slot_at, until_next

times = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (Hypothesis wants naive bounds)
periods = st.integers(1, 86_400)


@given(times, periods)
def test_a_moment_lies_in_its_slot(now, period):
    begin = begins_at(slot_at(now, period), period)

    assert begin <= now < begin + timedelta(seconds=period)


@given(times, periods)
def test_slots_follow_each_other_without_a_gap(now, period):
    later = now + until_next(now, period)

    assert slot_at(later, period) == slot_at(now, period) + 1
    assert timedelta(0) < until_next(now, period) <= timedelta(seconds=period)
