"""The overview in a real browser: its charts are drawn, and the browser has nothing to complain."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from django.contrib.auth.models import User

from hlcopy import heartbeats, measurements
from hlcopy.clock import utc_now
from hlcopy.models import Heartbeat, JobHealth, JobRun, StatSample
from tests.browser.conftest import Visit
from tests.web.test_stats import report
from traders import measuring
from web import watching

pytestmark = pytest.mark.browser


def an_hour():
    """Fill an hour with samples, and a job that has failed."""
    measurements.store("rotation", measuring.rotation())
    measurements.store("weight", {"used": 811, "peak": 1003, "http_429_total": 0})
    report(trades=120_000)
    heartbeats.beat(Heartbeat.Role.SCHEDULER)
    watching.watch()
    last = StatSample.objects.get()
    now = utc_now()
    for number in range(1, 360):
        wave = math.sin(number / 20)
        numbers = last.values["numbers"] | {
            "trades_per_second": None if 100 < number < 120 else round(40 + 20 * wave, 1),
            "weight_used_last_60s": 800 + round(150 * wave),
            "total_traders": 41_000 - number,
        }
        StatSample.objects.create(
            sampled_at=now - timedelta(seconds=10 * number),
            values={"numbers": numbers, "counters": last.values["counters"]},
        )
    for name, seconds in (("track_traders", 75), ("rank_traders", 600), ("watch_numbers", 10)):
        JobHealth.objects.create(job=name, seconds=seconds)
        JobRun.objects.create(
            job=name,
            slot=1,
            state="done",
            sent_at=now,
            started_at=now,
            finished_at=now + timedelta(seconds=seconds / 2),
        )


def test_an_operator_sees_the_hour(browser, server, book, client):
    an_hour()
    client.force_login(User.objects.create_superuser("admin"))
    visit = Visit(browser, viewport={"width": 1280, "height": 900})
    page = visit.page
    session = client.cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": server.url}])
    page.goto(f"{server.url}/admin/overview/")
    page.wait_for_selector(".overview")

    drawn = page.eval_on_selector_all(
        "polyline",
        "lines => lines.map(line => [line.getBBox().width, getComputedStyle(line).fill])",
    )
    assert sum(width > 200 for width, _ in drawn) >= 3
    assert {fill for _, fill in drawn} == {"none"}  # the style sheet is there
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    visit.shot("overview")
    page.goto(f"{server.url}/admin/")
    page.click("text=Overview")
    page.wait_for_selector(".overview")
    assert visit.complaints == []
