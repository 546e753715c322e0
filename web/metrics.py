"""`GET /metrics`: the numbers of `/api/v1/stats` as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from web.alerts import CODES

Family = CounterMetricFamily | GaugeMetricFamily


class StatsCollector(Collector):
    """One reading of the numbers; what is unknown is left out."""

    def __init__(self, content: dict[str, Any]) -> None:
        """Take what `stats.read` returned."""
        self._content = content

    def collect(self) -> Iterable[Metric]:
        """Return one family for each number; those of a job are labelled with its name."""
        plain = {key: value for key, value in self._content.items() if key != "alerts"}
        jobs = plain["jobs"]
        plain["jobs"] = {key: value for key, value in jobs.items() if key != "periodic"}
        families = [family(name, {"": value}) for name, value in numbers("hlcopy", plain)]
        by_name: dict[str, dict[str, float]] = {}
        for job, values in jobs["periodic"].items():
            for name, value in numbers("hlcopy_job", values):
                by_name.setdefault(name, {})[job] = value
        families += [family(name, values, label="job") for name, values in by_name.items()]
        raised = {alert["code"] for alert in self._content["alerts"]}
        states = {code: float(code in raised) for code in CODES}
        return [*families, family("hlcopy_alert", states, label="code")]


def family(name: str, values: dict[str, float], *, label: str = "") -> Family:
    """Return the metric of one number, once for each value of the label."""
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    metric: Family = kind(name, name.replace("_", " "), labels=[label] if label else None)
    for value_of_label, value in values.items():
        metric.add_metric([value_of_label] if label else [], value)
    return metric


def numbers(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Yield every known number inside, named by its path; times in seconds since 1970."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(f"{name}_{key}", inner)
    elif isinstance(value, datetime):
        yield f"{name}_timestamp_seconds", value.timestamp()
    elif isinstance(value, bool | int | float):
        yield name, float(value)


def exposition(content: dict[str, Any]) -> bytes:
    """Return the text of `/metrics`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StatsCollector(content))
    return generate_latest(registry)
