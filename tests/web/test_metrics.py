"""`/metrics` has the numbers of `/api/v1/stats`, all of them and no others."""

from __future__ import annotations

from datetime import datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from hlcopy.models import JobHealth
from tests.traders.book import add_events, add_trader
from web import alerts, stats

pytestmark = pytest.mark.django_db


def known(value, path=()):
    """Yield (path, number) of every known number, without any word of Prometheus."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from known(inner, (*path, key))
    elif isinstance(value, bool | int | float):
        yield path, float(value)
    elif isinstance(value, datetime):
        yield (*path, "timestamp_seconds"), value.timestamp()


def test_the_two_have_the_same_numbers(client):
    JobHealth.objects.create(job="track_traders", seconds=75)
    JobHealth.objects.create(job="score", seconds=600, deaths=2)
    add_events(add_trader(), 3)

    answer = client.get("/metrics", headers={"Accept": "text/plain;version=0.0.4;q=0.5"})
    content = stats.read()

    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    told: dict[tuple[str, ...], float] = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in text_string_to_metric_families(answer.content.decode())
        for sample in metric.samples
    }
    raised = {alert["code"] for alert in content.pop("alerts")}
    jobs = content["jobs"].pop("periodic")
    expected: dict[tuple[str, ...], float] = {
        ("_".join(("hlcopy", *path)),): value for path, value in known(content)
    }
    for job, values in jobs.items():
        expected |= {("_".join(("hlcopy_job", *path)), job): v for path, v in known(values)}
    expected |= {("hlcopy_alert", code): float(code in raised) for code in alerts.CODES}
    assert set(told) == set(expected)
    assert told["hlcopy_database_total_trade_events",] == 3
    assert told["hlcopy_job_worker_deaths", "score"] == 2
    assert told["hlcopy_alert", "worker_gone"] == 1
    moving = {"hlcopy_time_timestamp_seconds", "hlcopy_database_size_bytes"}
    for name in set(told) - {(each,) for each in moving}:
        assert told[name] == pytest.approx(expected[name], abs=2)


def test_an_unknown_parameter_is_refused(client):
    for path in ("/metrics?a=1", "/api/v1/stats?a=1"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid")
