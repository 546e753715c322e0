"""Periodic jobs: a slot is sent and run once, whoever else tries."""

from __future__ import annotations

import threading
from datetime import timedelta

import dramatiq
import pytest
from django.db import connection
from dramatiq.brokers.stub import StubBroker

from hlcopy import periodic
from hlcopy.models import JobHealth, JobRun
from hlcopy.periodic import Job, database_now, give_back, renew, run_slot, send_due, take
from hlcopy.slots import slot_at

pytestmark = pytest.mark.django_db


@pytest.fixture
def broker():
    """Return a broker in memory, so that what was sent can be counted."""
    return StubBroker(middleware=[])


@pytest.fixture
def job(broker, monkeypatch):
    """Return a job of one minute, the only one there is."""

    @dramatiq.actor(broker=broker, actor_name="count_traders")
    def count_traders(slot: int) -> None:
        """Do nothing: these tests call `run_slot` themselves."""

    only = Job("count_traders", 60, count_traders)
    monkeypatch.setattr(periodic, "JOBS", {only.name: only})
    return only


def sent(broker):
    return broker.queues["default"].qsize()


def test_a_slot_is_sent_once_however_often_it_is_looked_at(job, broker):
    now = database_now()

    assert [send_due(now), send_due(now), send_due(now)] == [["count_traders"], [], []]
    assert sent(broker) == 1


@pytest.mark.django_db(transaction=True)
def test_of_schedulers_at_the_same_moment_only_one_sends(job, broker):
    now = database_now()
    together = threading.Barrier(6)

    def scheduler():
        together.wait()
        send_due(now)
        connection.close()

    threads = [threading.Thread(target=scheduler) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sent(broker) == 1


def test_missed_slots_collapse_into_the_present_one(job, broker):
    now = database_now()
    send_due(now)
    send_due(now + timedelta(hours=5))

    assert sent(broker) == 2


def expire():
    """Let the leases of all runs be over."""
    JobRun.objects.update(lease_until=database_now() - timedelta(seconds=1))


def test_a_slot_whose_message_was_lost_is_sent_again_and_runs_once(job, broker):
    now = database_now()
    slot = slot_at(now, job.seconds)
    for _ in range(5):
        send_due(now)
        expire()

    assert sent(broker) == 5
    runs = [run_slot(job, slot, dict) for _ in range(5)]
    assert runs == [True, False, False, False, False]
    assert send_due(now) == []


def test_what_nobody_took_before_the_next_slot_is_missed_for_ever(job):
    now = database_now()
    slot = slot_at(now, job.seconds)
    send_due(now)
    send_due(now + timedelta(seconds=60))

    assert not run_slot(job, slot, dict)
    assert JobRun.objects.get(slot=slot).state == JobRun.State.MISSED
    assert run_slot(job, slot + 1, dict)


def die(job, slot):
    """Take the slot as a worker that is killed."""
    assert take(job, slot, "host:1:killed")
    expire()


def test_a_slot_whose_worker_died_is_sent_again_until_it_is_done(job):
    now = database_now()
    slot = slot_at(now, job.seconds)
    for _ in range(2):
        assert send_due(now) == ["count_traders"]
        die(job, slot)

    assert send_due(now) == ["count_traders"]
    assert run_slot(job, slot, dict)
    assert JobHealth.objects.get().deaths == 0
    assert JobRun.objects.get().error == ""


def test_a_job_that_kills_three_workers_in_a_row_is_quarantined_for_a_while(job):
    now = database_now()
    for _ in range(2):
        send_due(now)
        die(job, slot_at(now, job.seconds))
    now += timedelta(seconds=60)  # the deaths count over slots
    assert send_due(now) == ["count_traders"]
    die(job, slot_at(now, job.seconds))

    assert send_due(now) == send_due(now + timedelta(minutes=4)) == []
    run = JobRun.objects.get(slot=slot_at(now, job.seconds))
    assert (run.state, run.attempts) == (JobRun.State.FAILED, 1)
    assert "quarantine" in run.error
    assert JobHealth.objects.get().quarantined_at == now

    later = now + timedelta(minutes=6)
    assert send_due(later) == ["count_traders"]
    assert run_slot(job, slot_at(later, job.seconds), dict)
    assert JobHealth.objects.get().quarantined_at is None


def test_who_was_believed_dead_does_not_end_the_run_of_another(job):
    now = database_now()
    slot = slot_at(now, job.seconds)
    send_due(now)

    def frozen():
        expire()
        send_due(now)
        assert take(job, slot, "host:2:other")
        return {"late": True}

    assert run_slot(job, slot, frozen)
    run = JobRun.objects.get()
    assert (run.state, run.worker, run.summary) == (JobRun.State.RUNNING, "host:2:other", {})


def test_a_worker_that_ends_gives_its_run_back_and_nobody_died(job):
    now = database_now()
    slot = slot_at(now, job.seconds)
    send_due(now)

    def told_to_end():
        give_back()
        assert send_due(now + timedelta(seconds=1)) == ["count_traders"]
        return {}

    run_slot(job, slot, told_to_end)
    assert run_slot(job, slot, dict)
    assert JobHealth.objects.get().deaths == 0


def test_the_lease_of_a_living_worker_is_renewed(job):
    now = database_now()
    send_due(now)

    def long():
        expire()
        renew()
        assert send_due(now) == []
        return {"done": True}

    run_slot(job, slot_at(now, job.seconds), long)
    assert JobRun.objects.get().summary == {"done": True}


def test_a_message_that_comes_twice_runs_once(job):
    now = database_now()
    send_due(now)
    slot = slot_at(now, job.seconds)
    runs: list[int] = []

    def seven():
        runs.append(1)
        return {"traders": 7}

    taken = [run_slot(job, slot, seven) for _ in range(2)]

    assert taken == [True, False]
    assert runs == [1]
    run = JobRun.objects.get()
    assert (run.state, run.summary) == (JobRun.State.DONE, {"traders": 7})


def test_a_run_does_not_overlap_the_one_before(job):
    now = database_now()
    send_due(now)
    first = slot_at(now, job.seconds)
    inner = []

    def long():
        JobRun.objects.update(lease_until=now + timedelta(minutes=5))  # renewed all the time
        assert send_due(now + timedelta(seconds=60)) == ["count_traders"]
        inner.append(run_slot(job, first + 1, dict))
        return {}

    assert run_slot(job, first, long)
    assert inner == [False]
    assert run_slot(job, first + 1, dict)


def test_a_failure_is_recorded_and_the_next_slot_runs(job):
    now = database_now()
    send_due(now)
    slot = slot_at(now, job.seconds)

    nothing: dict[str, dict[str, object]] = {}
    assert run_slot(job, slot, lambda: nothing["missing"])

    run = JobRun.objects.get(slot=slot)
    assert run.state == JobRun.State.FAILED
    assert "missing" in run.error
    send_due(now + timedelta(seconds=60))
    assert run_slot(job, slot + 1, dict)
