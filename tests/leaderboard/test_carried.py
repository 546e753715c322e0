"""For what share of a window the feed was carried, as each trader has it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.carried import Carried

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
WHOLE = 86_400.0


def days(*seconds: float) -> dict[str, float]:
    """Return these days, the last of them today."""
    today = NOW.date()
    first = len(seconds) - 1
    return {
        (today - timedelta(days=first - place)).isoformat(): value
        for place, value in enumerate(seconds)
    }


@pytest.mark.parametrize(
    ("window_days", "seconds", "age", "share"),
    [
        (None, days(WHOLE, WHOLE / 2), timedelta(days=1.5), 1),
        (None, days(0, 0), timedelta(days=1.5), 0),
        (None, days(WHOLE, 0, WHOLE / 2), timedelta(days=2.5), 0.6),
        # Seen at noon: the half day that was carried is taken to be the second one.
        (None, days(WHOLE / 2, WHOLE / 2), timedelta(days=1), 1),
        (None, days(WHOLE / 4, WHOLE / 2), timedelta(days=1), 0.75),
        # Of the first day at most what was left of it counts.
        (None, days(WHOLE, 0), timedelta(days=1), 0.5),
        # The window begins at midnight, seven days ago.
        (7, days(*[WHOLE] * 3, *[0] * 4, WHOLE / 2), timedelta(days=90), 3.5 / 7.5),
        (7, days(*[0] * 20, *[WHOLE] * 7, WHOLE / 2), timedelta(days=90), 1),
        # Nothing tells how it was before the days were counted.
        (None, days(WHOLE, WHOLE / 2), timedelta(days=5), None),
        (7, days(WHOLE, WHOLE / 2), timedelta(days=90), None),
        (7, {}, timedelta(days=1), None),
        (7, days(WHOLE / 2), timedelta(0), None),
        (7, days(WHOLE / 2), timedelta(days=-1), None),
    ],
)
def test_it_is_what_was_carried_since_the_trader_was_seen(window_days, seconds, age, share):
    carried = Carried(seconds, now=NOW, window_days=window_days)

    assert carried.share(NOW - age) == (None if share is None else pytest.approx(share))


def test_what_is_counted_after_the_board_was_made_does_not_exceed_it():
    assert Carried(days(WHOLE), now=NOW, window_days=7).share(NOW - timedelta(hours=1)) == 1


SECONDS = st.lists(st.floats(0, WHOLE + 5), min_size=1, max_size=40)


@given(SECONDS, st.floats(0.001, 60), st.sampled_from([None, 7, 30]))
def test_it_lies_between_nothing_and_all_and_is_known_where_the_days_are(seconds, age, window):
    carried = Carried(days(*seconds), now=NOW, window_days=window)
    since = NOW - timedelta(days=age)
    begins = max(since.date(), NOW.date() - timedelta(days=window)) if window else since.date()

    share = carried.share(since)

    known = begins > NOW.date() - timedelta(days=len(seconds))
    assert (share is not None) == known
    assert share is None or 0 <= share <= 1


@given(SECONDS, st.floats(0.001, 30), st.integers(0, 39))
def test_more_seconds_are_never_less_coverage(seconds, age, place):
    since = NOW - timedelta(days=age)
    less = Carried(days(*seconds), now=NOW, window_days=None).share(since)
    seconds[place % len(seconds)] += 100
    more = Carried(days(*seconds), now=NOW, window_days=None).share(since)

    assert (less is None) == (more is None)
    assert less is None or more is None or less <= more


def test_days_may_come_in_any_order():
    told = days(WHOLE, 0, WHOLE / 2)
    since = datetime.combine(date(2026, 3, 29), datetime.min.time(), UTC)

    forwards = Carried(told, now=NOW, window_days=None).share(since)

    assert Carried(dict(reversed(told.items())), now=NOW, window_days=None).share(since) == forwards
