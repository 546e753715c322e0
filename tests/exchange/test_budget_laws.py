"""What must hold for every history of the budget, not only for those that we thought of."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.budget import WINDOW_MS, Rules, Status
from tests.exchange.budgets import START, InRedis, Pure
from tests.exchange.laws import law

RULES = Rules(limit=100, hold_ms=20_000, closed_ms=65_000)

#: One attempt: when it is made after the last, its weight, how long until it arrives and is
#: answered (shares of the longest), whether its holder dies before settling, and whether the log
#: is lost before it.
ATTEMPTS = st.lists(
    st.tuples(
        st.integers(0, 30_000),
        st.integers(1, 60),
        st.floats(0, 1),
        st.floats(0, 1),
        st.booleans(),
    ),
    max_size=40,
)


def most_in_a_window(arrivals: list[tuple[int, int]]) -> int:
    """The largest sum of weights that arrived within any sliding window."""
    return max(
        (
            sum(weight for at, weight in arrivals if end - WINDOW_MS < at <= end)
            for end, _ in arrivals
        ),
        default=0,
    )


def play(attempts: list[Any], lost_at: frozenset[int] = frozenset()) -> list[tuple[int, int]]:
    """Run attempts through a budget; returns (arrival, weight) of those that were sent."""
    budget = Pure(RULES)
    budget.open()
    replies: list[tuple[int, str, int]] = []
    arrivals = []
    now = START
    for number, (gap, weight, arrival, reply, dies) in enumerate(attempts):
        now += gap
        for at, entry_id, settled in sorted(replies):
            if at <= now:
                budget.now = at
                budget.settle(entry_id, settled, settled)
                replies.remove((at, entry_id, settled))
        budget.now = now
        if number in lost_at:
            budget.lose()
        if budget.reserve(str(number), weight).status is Status.GRANTED:
            answered = now + int(reply * RULES.hold_ms)
            arrivals.append((now + int(arrival * (answered - now)), weight))
            if not dies:
                replies.append((answered, str(number), weight))
    return arrivals


@law
@given(ATTEMPTS)
def test_no_window_of_arrivals_holds_more_than_the_limit(attempts):
    """Wherever between reservation and reply a request arrives, and also if its holder dies."""
    assert most_in_a_window(play(attempts)) <= RULES.limit


@law
@given(ATTEMPTS, st.frozensets(st.integers(0, 39), max_size=3))
def test_not_even_when_the_log_is_lost(attempts, lost_at):
    attempts = [(*attempt[:4], False) for attempt in attempts]
    assert most_in_a_window(play(attempts, lost_at)) <= RULES.limit


def test_the_law_can_fail():
    """A log that counted from the reservation alone would let through twice the limit."""
    late = [(START + 19_000, 100), (START + 61_000, 100)]
    assert most_in_a_window(late) == 200


_ids = st.sampled_from("abcd")
_weights = st.integers(1, 60)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.integers(-100_000, 200_000)),
        st.tuples(st.just("move"), st.integers(0, 3_000)),
        st.tuples(st.just("reserve"), _ids, _weights),
        st.tuples(st.just("reserve"), _ids, _weights, st.just("host"), st.integers(0, 300_000)),
        st.tuples(st.just("settle"), _ids, _weights, st.integers(0, 60)),
        st.tuples(st.just("pause"), st.none() | st.integers(0, 1000)),
        st.tuples(st.just("close"), st.just("host"), st.integers(0, 300_000)),
        st.tuples(st.sampled_from(["usage", "open", "restart", "lose"])),
    ),
    max_size=30,
)


@pytest.mark.services
@settings(law, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_both_forms_answer_every_history_alike(services, steps):
    pure, shared = Pure(RULES), InRedis(RULES, services.redis_url)
    with shared.redis:
        for name, *arguments in steps:
            if name == "move":
                pure.now += arguments[0]
                shared.now += arguments[0]
            else:
                assert getattr(pure, name)(*arguments) == getattr(shared, name)(*arguments)
        assert pure.usage() == shared.usage()
        shared.lose()
