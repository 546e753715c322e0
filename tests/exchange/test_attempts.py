"""When attempts to connect are allowed: a table of both forms, and what holds for every history."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.attempts import Attempts, Pacing
from exchange.budget import WINDOW_MS
from exchange.connection_permits import _SCRIPT
from tests.exchange.budgets import START
from tests.exchange.laws import law

PACING = Pacing()
ALONE = Pacing(limit=8, every_ms=12_000)


class Pure:
    """``exchange.attempts`` itself."""

    def __init__(self, pacing: Pacing) -> None:
        self.now = START
        self.pacing = pacing
        self.lose()

    def ask(self) -> int:
        return self.attempts.ask(self.now)

    def ended(self, *, works: bool) -> None:
        self.attempts.ended(self.now, works=works)

    def lose(self) -> None:
        """All data is gone."""
        self.attempts = Attempts(self.pacing)


class InRedis:
    """``attempts.lua`` in a real server."""

    def __init__(self, pacing: Pacing, url: str) -> None:
        self.now = START
        self.pacing = pacing
        self.redis = redis.Redis.from_url(url)
        self.script = self.redis.register_script(_SCRIPT)
        name = secrets.token_hex(4)
        self.keys = [f"{{connections:{name}}}:{key}" for key in ("state", "log")]

    def _call(self, operation: str, *arguments: int) -> int:
        pacing = self.pacing
        numbers = (pacing.limit, pacing.every_ms, pacing.open_ms, pacing.counts_ms)
        answer: int = self.script(keys=self.keys, args=[operation, *numbers, self.now, *arguments])
        return answer

    def ask(self) -> int:
        return self._call("ask")

    def ended(self, *, works: bool) -> None:
        self._call("ended", int(works))

    def lose(self) -> None:
        """All data is gone."""
        self.redis.delete(*self.keys)


@pytest.fixture(params=["pure", pytest.param("redis", marks=pytest.mark.services)])
def attempts(request):
    if request.param == "pure":
        yield Pure(PACING)
        return
    shared = InRedis(PACING, request.getfixturevalue("services").redis_url)
    with shared.redis:
        yield shared
        shared.lose()


def granted(attempts: Pure | InRedis, asks: int) -> int:
    """How many of so many questions at once are granted."""
    return sum(attempts.ask() == 0 for _ in range(asks))


def fail_for(attempts: Pure | InRedis, seconds: int) -> int:
    """Let everybody ask every 0.4 s, and every attempt fail; return how many were made."""
    made = 0
    for _ in range(seconds * 10 // 4):
        if attempts.ask() == 0:
            made += 1
            attempts.ended(works=False)
        attempts.now += 400
    return made


def test_while_none_works_there_is_one_in_every_pace(attempts):
    assert granted(attempts, 5) == 1
    attempts.now += PACING.every_ms - 1
    assert attempts.ask() == 1
    attempts.now += 1
    assert granted(attempts, 5) == 1


def test_after_one_that_works_the_others_follow_at_once(attempts):
    assert attempts.ask() == 0
    attempts.ended(works=True)
    assert granted(attempts, 20) == 5


def test_they_may_follow_for_ten_seconds(attempts):
    attempts.ended(works=True)
    attempts.now += 9_999
    assert granted(attempts, 2) == 2
    attempts.now += 1
    assert granted(attempts, 2) == 0


def test_a_failure_lets_no_more_follow(attempts):
    assert attempts.ask() == 0
    attempts.ended(works=True)
    attempts.ended(works=False)
    assert granted(attempts, 5) == 0


@pytest.mark.parametrize("seconds", [2, 10, 60, 120])
def test_after_any_outage_five_more_follow_the_first_at_once(attempts, seconds):
    """Three processes of two sockets each."""
    assert fail_for(attempts, seconds) == -(-seconds * 1000 // PACING.every_ms)
    while (wait := attempts.ask()) > 0:
        attempts.now += wait
    attempts.ended(works=True)
    assert granted(attempts, 5) == 5


def test_what_followed_at_once_leaves_the_pace_for_ever(attempts):
    """Every attempt works, and is lost at once: the worst that can be done to the permits."""
    waits = []
    for _ in range(400):
        waits.append(attempts.ask())
        attempts.ended(works=True)
        attempts.now += 500
    assert max(waits) < PACING.every_ms
    assert waits.count(0) > 200_000 / 3_000


def test_lost_data_give_one_attempt_and_let_none_follow(attempts):
    assert attempts.ask() == 0
    attempts.ended(works=True)
    attempts.lose()
    assert granted(attempts, 5) == 1


def test_a_clock_that_goes_back_holds_nobody_up(attempts):
    attempts.ask()
    attempts.ended(works=True)
    granted(attempts, 10)
    attempts.now -= 3_600_000
    assert granted(attempts, 10) == 1
    attempts.ended(works=True)
    assert granted(attempts, 10) == 5


#: What happens next: time goes by, somebody asks (and arrives, a share of the hold later), or an
#: attempt ends well or badly.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("move"), st.integers(0, 5_000)),
        st.tuples(st.just("move"), st.integers(0, 100_000)),
        st.tuples(st.just("ask"), st.floats(0, 1)),
        st.tuples(st.just("burst"), st.floats(0, 1)),
        st.tuples(st.just("ended"), st.booleans()),
    ),
    max_size=80,
)


def most_in_a_window(arrivals: list[int]) -> int:
    """The largest number that arrived within any sliding window."""
    return max((sum(end - WINDOW_MS < at <= end for at in arrivals) for end in arrivals), default=0)


@law
@given(STEPS, st.sampled_from([PACING, ALONE]))
def test_no_minute_sees_more_than_the_limit_and_none_waits_longer_than_the_pace(steps, pacing):
    attempts, arrivals = Pure(pacing), []
    for name, value in steps:
        if name == "move":
            attempts.now += value
        elif name == "ended":
            attempts.ended(works=value)
        else:
            for _ in range(20 if name == "burst" else 1):
                wait = attempts.ask()
                assert wait <= pacing.every_ms
                if wait == 0:
                    arrivals.append(attempts.now + int(value * pacing.hold_ms))
    assert most_in_a_window(arrivals) <= pacing.limit


@pytest.mark.parametrize("arrive_ms", [0, 10_000])
def test_no_minute_of_the_worst_sees_more_than_the_limit(arrive_ms):
    attempts, arrivals = Pure(PACING), []
    for tenth in range(4000):
        if attempts.ask() == 0:
            # A blackhole lets all that knocked in the last ten seconds arrive at its end.
            late = -attempts.now % 10_000 if arrive_ms else 0
            arrivals.append(attempts.now + late)
        attempts.ended(works=tenth % 700 > 400)
        attempts.now += 100
    assert 25 <= most_in_a_window(arrivals) <= PACING.limit


@pytest.mark.services
@settings(law, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps=STEPS, back=st.integers(0, 200_000))
def test_both_forms_answer_every_history_alike(services, steps, back):
    pure, shared = Pure(PACING), InRedis(PACING, services.redis_url)
    with shared.redis:
        for name, value in [*steps, ("move", -back), *steps]:
            answers: list[Any] = []
            for form in (pure, shared):
                if name == "move":
                    form.now += value
                elif name == "ended":
                    form.ended(works=value)
                else:
                    answers.append([form.ask() for _ in range(20 if name == "burst" else 1)])
            assert answers[:1] == answers[1:]
        shared.lose()
