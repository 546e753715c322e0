"""Periodic jobs: a slot is sent and run once, whoever else tries."""

from __future__ import annotations

import threading
from datetime import timedelta

import dramatiq
import pytest
from django.db import connection
from dramatiq.brokers.stub import StubBroker

from hlcopy import periodic
from hlcopy.models import JobRun
from hlcopy.periodic import Job, database_now, run_slot, send_due
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


def test_a_slot_whose_message_was_lost_is_sent_again_and_then_given_up(job, broker):
    now = database_now()
    run = None
    for _ in range(5):
        send_due(now)
        run = JobRun.objects.get()
        JobRun.objects.update(lease_until=now - timedelta(seconds=1))

    assert sent(broker) == 3
    assert run is not None
    assert run.state == JobRun.State.FAILED
    assert "never finished" in run.error


def test_a_message_that_comes_twice_runs_once(job):
    now = database_now()
    send_due(now)
    slot = slot_at(now, job.seconds)
    runs = []

    taken = [run_slot(job, slot, lambda: runs.append(1) or {"traders": 7}) for _ in range(2)]

    assert taken == [True, False]
    assert runs == [1]
    run = JobRun.objects.get()
    assert (run.state, run.summary) == (JobRun.State.DONE, {"traders": 7})


def test_a_run_does_not_overlap_the_one_before(job):
    now = database_now()
    send_due(now)
    send_due(now + timedelta(seconds=60))
    first = slot_at(now, job.seconds)
    inner = []

    run_slot(job, first, lambda: inner.append(run_slot(job, first + 1, dict)) or {})

    assert inner == [False]


def test_a_failure_is_recorded_and_the_next_slot_runs(job):
    now = database_now()
    send_due(now)
    slot = slot_at(now, job.seconds)

    assert run_slot(job, slot, lambda: {}["missing"])

    run = JobRun.objects.get(slot=slot)
    assert run.state == JobRun.State.FAILED
    assert "missing" in run.error
    send_due(now + timedelta(seconds=60))
    assert run_slot(job, slot + 1, dict)
