"""One table for both forms of the budget: the pure arithmetic and the script in Redis."""

from __future__ import annotations

import pytest

from exchange.budget import Answer, Rules, Status
from tests.exchange.budgets import InRedis, Pure

RULES = Rules(limit=100, hold_ms=20_000, closed_ms=65_000)
GRANTED = Answer(Status.GRANTED)


@pytest.fixture(params=["pure", pytest.param("redis", marks=pytest.mark.services)])
def budget(request):
    form: Pure | InRedis = Pure(RULES)
    if request.param == "redis":
        if request.config.getoption("--no-services"):
            pytest.skip("run with --no-services")
        form = InRedis(RULES, request.getfixturevalue("services").redis_url)
    form.open()
    return form


def test_it_grants_up_to_the_limit_and_no_more(budget):
    assert budget.reserve("a", 60) == GRANTED
    assert budget.reserve("b", 40) == GRANTED
    assert budget.reserve("c", 1).status is Status.FULL
    assert budget.usage().used == 100


def test_an_answered_request_counts_for_a_window_after_the_reply(budget):
    budget.reserve("a", 100)
    budget.now += 5_000
    budget.settle("a", 100, 100)
    budget.now += 60_000
    assert budget.reserve("b", 1) == Answer(Status.FULL, 1)
    budget.now += 1
    assert budget.reserve("b", 1) == GRANTED


def test_a_request_whose_holder_died_counts_until_it_cannot_have_arrived(budget):
    budget.reserve("a", 100)
    budget.now += 80_000
    assert budget.reserve("b", 1) == Answer(Status.FULL, 1)
    budget.now += 1
    assert budget.reserve("b", 1) == GRANTED


def test_the_wait_is_until_enough_entries_end(budget):
    for entry_id, weight in (("a", 10), ("b", 30), ("c", 60)):
        budget.reserve(entry_id, weight)
        budget.settle(entry_id, weight, weight)
        budget.now += 1_000
    assert budget.reserve("d", 10) == Answer(Status.FULL, 57_001)
    assert budget.reserve("d", 11) == Answer(Status.FULL, 58_001)
    assert budget.reserve("d", 41) == Answer(Status.FULL, 59_001)


def test_a_surcharge_that_did_not_come_is_given_back(budget):
    budget.reserve("a", 100)
    budget.settle("a", 100, 20)
    assert budget.usage().used == 20


def test_a_permit_that_was_not_used_is_given_back_whole(budget):
    budget.reserve("a", 100)
    budget.settle("a", 100, 0)
    assert budget.usage().used == 0


@pytest.mark.parametrize("actual", [10, 7])
def test_asking_twice_after_a_lost_reply_counts_once(budget, actual):
    assert budget.reserve("a", 10) == budget.reserve("a", 10) == GRANTED
    assert budget.usage().used == 10
    budget.settle("a", 10, actual)
    budget.settle("a", 10, actual)
    assert budget.usage().used == actual


@pytest.mark.parametrize("loss", ["restart", "lose"])
def test_a_log_that_may_have_lost_something_is_closed_for_65_seconds(budget, loss):
    budget.reserve("a", 10)
    getattr(budget, loss)()
    assert budget.reserve("b", 1) == Answer(Status.CLOSED, 65_000)
    budget.now += 64_999
    assert budget.reserve("b", 1) == Answer(Status.CLOSED, 1)
    budget.now += 1
    assert budget.reserve("b", 1) == GRANTED


def test_a_request_in_flight_while_the_log_was_lost_counts_from_its_reply(budget):
    budget.reserve("a", 10)
    budget.lose()
    budget.settle("a", 10, 10)
    assert budget.usage().used == 10


def test_a_fresh_start_is_open_at_once(budget):
    budget.lose()
    budget.open()
    assert budget.reserve("a", 1) == GRANTED


def test_a_clock_that_goes_back_closes_it_and_keeps_every_entry(budget):
    budget.reserve("a", 30)
    budget.reserve("b", 10)
    budget.settle("b", 10, 10)
    budget.now -= 3_600_000
    assert budget.reserve("c", 1) == Answer(Status.CLOSED, 65_000)
    budget.now += 65_000
    assert budget.reserve("c", 1) == GRANTED
    assert budget.usage().used == 41
    budget.now += 15_001
    assert budget.usage().used == 1


def test_a_clock_that_went_back_does_not_prolong_a_pause(budget):
    budget.pause(20)
    budget.now -= 3_600_000
    assert budget.usage().paused_ms == 20_000


def test_a_clock_that_runs_ahead_of_the_host_is_suspect_until_closed(budget):
    boot = 5_000
    assert budget.reserve("a", 1, "host", boot) == GRANTED
    budget.now, boot = budget.now + 12_000, boot + 2_000
    expected = Answer(Status.SUSPECT, 10_000 - 1_002 + 1)
    assert budget.reserve("b", 1, "host", boot) == expected
    assert budget.reserve("b", 1, "host", boot) == expected
    assert budget.reserve("b", 1, "other host", 7) == GRANTED
    budget.close("host", boot)
    assert budget.reserve("c", 1, "host", boot) == Answer(Status.CLOSED, 65_000)


def test_delay_and_slewing_are_not_taken_for_a_step(budget):
    boot = 5_000
    for delay in (0, 900, 100, 999):
        budget.now, boot = budget.now + 10_000, boot + 10_000
        budget.now += delay
        assert budget.reserve(str(delay), 1, "host", boot) == GRANTED
        budget.now -= delay
        budget.reserve("rebased", 1)
        budget.open()
    for hour in range(24):
        budget.now, boot = budget.now + 3_601_000, boot + 3_600_000
        assert budget.reserve(f"hour {hour}", 1, "host", boot) == GRANTED


def test_small_steps_do_not_add_up_unseen(budget):
    boot = 5_000
    assert budget.reserve("a", 1, "host", boot) == GRANTED
    budget.now += 900
    assert budget.reserve("b", 1, "host", boot) == GRANTED
    budget.now += 900
    assert budget.reserve("c", 1, "host", boot) == Answer(Status.SUSPECT, 801)


def test_429_pauses_everybody_and_longer_each_time(budget):
    budget.reserve("a", 100)
    waits = []
    for _ in range(5):
        waits.append(budget.pause(None))
        assert budget.reserve("b", 1).status is Status.PAUSED
        budget.now += waits[-1]
    assert waits == [10_000, 20_000, 40_000, 60_000, 60_000]
    assert budget.usage().http_429_total == 5
    budget.now += 120_001
    assert budget.pause(None) == 10_000


def test_requests_refused_together_are_one_refusal(budget):
    assert [budget.pause(None) for _ in range(5)] == [10_000] * 5
    assert budget.usage().http_429_total == 5


def test_retry_after_is_honoured_within_reason(budget):
    assert budget.pause(33) == 33_000
    assert budget.pause(5) == 33_000
    assert budget.pause(10**9) == 600_000


def test_it_tells_what_it_counts(budget):
    budget.reserve("a", 70)
    budget.settle("a", 70, 70)
    budget.now += 60_001
    budget.reserve("b", 5)
    usage = budget.usage()
    assert (usage.used, usage.peak, usage.closed_ms, usage.paused_ms) == (5, 70, 0, 0)
    budget.now += 3_600_000
    assert budget.usage().peak == 0
