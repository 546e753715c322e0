"""What the watch keeps is forgotten in time, and nothing before its time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hlcopy import heartbeats
from hlcopy.clock import utc_now
from hlcopy.models import Alert, Heartbeat, JobHealth, JobRun, StatSample
from hlcopy.periodic import JOBS, database_now, send_due
from hlcopy.slots import slot_at
from hlcopy.tasks import forget_old_records

pytestmark = pytest.mark.django_db


def forget():
    """Run the job as a worker does; return what it said."""
    now = database_now()
    send_due(now)
    slot = slot_at(now, forget_old_records.seconds)
    JOBS["forget_old_records"].actor.fn(slot)
    return JobRun.objects.get(job="forget_old_records", slot=slot).summary


def test_runs_are_kept_for_a_week_and_frequent_ones_for_a_day():
    now = utc_now()
    for job, seconds in (("seldom", 600), ("often", 10)):
        JobHealth.objects.create(job=job, seconds=seconds)
        for slot, age in enumerate((timedelta(days=8), timedelta(days=2), timedelta(hours=1))):
            JobRun.objects.create(job=job, slot=slot, sent_at=now - age, state="done")
    JobRun.objects.create(job="lost", slot=1, sent_at=now - timedelta(days=9), state="running")

    assert forget()["runs"] == 3
    left = JobRun.objects.filter(job__in=["seldom", "often", "lost"])
    assert set(left.values_list("job", "slot")) == {
        *(("seldom", 1), ("seldom", 2), ("often", 2), ("lost", 1))
    }


def test_samples_alerts_and_dead_processes_are_forgotten():
    now = utc_now()
    for age in (timedelta(minutes=64), timedelta(minutes=66)):
        StatSample.objects.create(sampled_at=now - age, values={})
    old = now - timedelta(days=31)
    Alert.objects.create(code="open_for_long", since=old, detail="")
    Alert.objects.create(code="over", since=old, cleared_at=old, detail="")
    heartbeats.beat(Heartbeat.Role.WORKER)
    Heartbeat.objects.create(
        name="gone", role="web", started_at=old, seen_at=now - timedelta(minutes=61)
    )

    summary = forget()
    assert {key: summary[key] for key in ("samples", "alerts", "processes")} == {
        "samples": 1,
        "alerts": 1,
        "processes": 1,
    }
    assert [alert.code for alert in Alert.objects.all()] == ["open_for_long"]


def test_a_process_that_ends_is_not_alive_at_once():
    heartbeats.beat(Heartbeat.Role.SCHEDULER)
    assert heartbeats.alive().count() == 1
    heartbeats.leave()
    assert not heartbeats.alive().exists()
    assert Heartbeat.objects.count() == 1
