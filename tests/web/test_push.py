"""Laws of the protocol's pure part."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.web.test_hub import event
from web.push import (
    MAX_MESSAGES_PER_SECOND,
    Allowance,
    LogState,
    Ring,
    start,
)

LOG = LogState(epoch="e", head=100, oldest=41)


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(1, 20), st.data())
def test_the_ring_gives_what_follows_a_cursor_or_says_that_it_cannot(batches, size, data):
    ring, begin = Ring(size), data.draw(st.integers(0, 1000))
    ring.restart(begin)
    for batch in batches:
        ring.extend([event(ring.head + place) for place in range(1, batch + 1)])
    assert ring.head == begin + sum(batches)

    cursor = data.draw(st.integers(begin, ring.head + 3))
    found = ring.after(cursor, 7)

    if found is None:
        assert ring.head - cursor > size
    else:
        assert [x.id for x in found] == list(range(cursor + 1, ring.head + 1))[:7]


@given(st.integers(0, 10**19 - 1), st.sampled_from(["e", "other"]))
def test_a_resume_gives_all_that_was_missed_or_says_why_not(after, epoch):
    begin = start(f"epoch={epoch}&after={after}", LOG)

    if epoch == "e" and 40 <= after <= 100:
        assert (begin.after, begin.reset) == (after, None)
    else:
        assert begin.after == LOG.head
        assert begin.reset in {"epoch", "expired", "ahead"}


@given(st.text(max_size=50))
def test_no_query_makes_it_fail(query):
    assert start(query, LOG).after == LOG.head
    assert start(f"epoch=e&after={query}", LOG).after <= LOG.head


@given(st.lists(st.floats(0, 5), max_size=60).map(sorted))
def test_no_second_has_more_messages_than_allowed(times):
    allowance = Allowance()
    taken = [now for now in times if allowance.take(now)]

    for first in taken:
        assert sum(first <= now < first + 1 for now in taken) <= MAX_MESSAGES_PER_SECOND
    if len(taken) < len(times):
        assert len(taken) >= MAX_MESSAGES_PER_SECOND
