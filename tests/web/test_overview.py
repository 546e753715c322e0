"""`/admin/overview/`: what staff see, and nobody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from hlcopy import heartbeats
from hlcopy.clock import utc_now
from hlcopy.models import Alert, Heartbeat, JobHealth, JobRun
from tests.web.test_stats import age_samples, report
from web import watching
from web.charts import HEIGHT, MARGIN, WIDTH, chart

URL = "/admin/overview/"


@pytest.mark.django_db
def test_it_shows_numbers_alerts_jobs_and_connections(admin_client):
    now = utc_now()
    JobHealth.objects.create(job="track_traders", seconds=75)
    times = {"sent_at": now, "started_at": now, "finished_at": now + timedelta(seconds=40)}
    JobRun.objects.create(
        job="track_traders", slot=1, state="failed", error="<b>KeyError</b>", **times
    )
    Alert.objects.create(code="disk_low", since=now, cleared_at=now, detail="900 MB are left")
    heartbeats.beat(Heartbeat.Role.WEB, {"active_connections": 12})
    report(trades=1000)
    watching.watch()
    age_samples(60)
    report(trades=4000)
    watching.watch()

    page = admin_client.get(URL)
    content = page.content.decode()

    assert page.status_code == 200
    assert "&lt;b&gt;KeyError&lt;/b&gt;" in content
    assert "<b>KeyError" not in content
    for said in ("pass_failed", "900 MB are left", "host:1/0", "active_connections 12", "40.00 s"):
        assert said in content
    assert "trades per second <strong>50</strong>" in content
    assert content.count("<polyline") >= 3
    # The content security policy lets neither run.
    body = content[content.index('class="overview"') :]
    assert "style=" not in content
    assert "<script" not in body


@pytest.mark.django_db
def test_only_staff_see_it_and_only_by_reading(client, admin_client):
    User.objects.create_user("reader", password="a-long-password")
    assert client.get(URL).status_code == 302
    client.login(username="reader", password="a-long-password")
    assert client.get(URL).status_code == 302
    assert admin_client.post(URL).status_code == 405
    assert f'href="{URL}"' in admin_client.get(reverse("admin:index")).content.decode()


@pytest.mark.django_db
def test_a_job_is_released_by_those_who_may(admin_client):
    JobHealth.objects.create(job="score", seconds=600, deaths=3, quarantined_at=utc_now())
    url = reverse("admin:hlcopy_jobhealth_changelist")
    chosen = {"action": "release", "_selected_action": ["score"]}

    viewer = User.objects.create_user("viewer", password="a-long-password", is_staff=True)
    assert not viewer.has_perm("hlcopy.change_jobhealth")
    assert admin_client.post(url, chosen).status_code == 302
    health = JobHealth.objects.get()
    assert (health.deaths, health.quarantined_at) == (0, None)


@pytest.mark.django_db
@pytest.mark.parametrize("model", ["jobhealth", "heartbeat", "alert", "jobrun"])
def test_the_records_of_the_watch_open_and_cannot_be_added(admin_client, model):
    watching.watch()
    assert admin_client.get(reverse(f"admin:hlcopy_{model}_changelist")).status_code == 200
    assert admin_client.get(reverse(f"admin:hlcopy_{model}_add")).status_code == 403


def test_a_chart_runs_from_an_hour_ago_to_now_between_its_extremes():
    drawn = chart("x", [(3600, 1.0), (1800, 3.0), (0, 2.0)])
    assert drawn.segments == [f"0.0,{HEIGHT - MARGIN}.0 {WIDTH / 2:.1f},{MARGIN}.0 300.0,30.0"]
    assert (drawn.lowest, drawn.highest, drawn.newest) == (1, 3, 2)


def test_a_chart_breaks_where_nothing_is_known():
    drawn = chart("x", [(30, None), (20, 5.0), (10, None), (5, 5.0), (0, None)])
    assert [len(each.split()) for each in drawn.segments] == [1, 1]
    assert drawn.newest is None
    assert chart("x", [(0, None)]).segments == []
