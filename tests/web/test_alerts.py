"""Every alert rises when it should, says why, and clears."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from web.alerts import CODES, Observed, Pass, judge

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WELL = Observed(
    now=NOW,
    interval_seconds=75,
    weight_peak=1164,
    last_429_at=NOW - timedelta(minutes=10),
    watching_since=NOW - timedelta(days=1),
    last_trade_at=NOW - timedelta(seconds=60),
    reconnects_last_hour=6,
    last_pass=Pass(finished_at=NOW, seconds=75, stopped_because="weight spent"),
    pass_began_at=NOW - timedelta(seconds=75),
    rotation_oldest=120.0,
    rotation_due=100.0,
    scheduler_seen_at=NOW - timedelta(seconds=150),
    worker_seen_at=NOW - timedelta(seconds=150),
    disk_free_bytes=10**9,
)
NOTHING = Observed(now=NOW, interval_seconds=75)


def ago(**time):
    return NOW - timedelta(**time)


def ended(**values):
    return Pass(**({"finished_at": ago(seconds=5), "seconds": 20} | values))


ILL = [
    ("weight_high", {"weight_peak": 1165}, NOW, "1165 of 1200"),
    ("http_429", {"last_429_at": ago(minutes=9)}, ago(minutes=9), "429"),
    ("feed_silent", {"last_trade_at": ago(seconds=61)}, ago(seconds=61), "60 s"),
    ("feed_silent", {"last_trade_at": None}, ago(days=1), "60 s"),
    ("feed_reconnects", {"reconnects_last_hour": 7}, NOW, "7 times"),
    ("pass_failed", {"last_pass": ended(error="KeyError: 7")}, ago(seconds=5), "KeyError: 7"),
    ("pass_failed", {"last_pass": ended(stopped_because="unreachable: x")}, ago(seconds=5), ": x"),
    ("pass_late", {"last_pass": ended(seconds=76)}, ago(seconds=5), "75 s"),
    ("pass_late", {"last_pass": ended(stopped_because="deadline")}, ago(seconds=5), "75 s"),
    ("pass_late", {"pass_began_at": ago(seconds=76)}, ago(seconds=76), "still runs"),
    ("rotation_late", {"rotation_oldest": 120.1}, NOW, "due after 100 s"),
    ("scheduler_gone", {"scheduler_seen_at": ago(seconds=151)}, ago(seconds=151), "scheduler"),
    ("scheduler_gone", {"scheduler_seen_at": None}, NOW, "ever"),
    ("worker_gone", {"worker_seen_at": ago(seconds=151)}, ago(seconds=151), "worker"),
    ("worker_gone", {"worker_seen_at": None}, NOW, "ever"),
    ("disk_low", {"disk_free_bytes": 10**9 - 1}, NOW, "999 MB"),
    ("job_quarantined", {"quarantined_jobs": ("score",)}, NOW, "score"),
]


def test_at_every_bound_all_is_well():
    assert judge(WELL) == {}


def test_what_is_unknown_raises_nothing_but_that_nobody_works():
    assert set(judge(NOTHING)) == {"scheduler_gone", "worker_gone"}


@pytest.mark.parametrize(("code", "change", "since", "says"), ILL)
def test_an_alert_rises_alone_with_since_when_and_why(code, change, since, says):
    raised = judge(msgspec.structs.replace(WELL, **change))

    assert set(raised) == {code}
    assert (raised[code].code, raised[code].since) == (code, since)
    assert says in raised[code].detail


def test_every_alert_is_among_the_named_ones():
    assert {code for code, *_ in ILL} == set(CODES)


def test_a_short_interval_leaves_processes_time_to_start():
    short = msgspec.structs.replace(
        WELL, interval_seconds=1, last_pass=None, pass_began_at=None, worker_seen_at=ago(seconds=10)
    )
    assert set(judge(short)) == {"scheduler_gone"}
