"""The periodic work on what the processes know of each other: forgetting it."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now

from hlcopy import heartbeats
from hlcopy.models import Alert, JobHealth, JobRun, StatSample
from hlcopy.periodic import periodic

KEEP_RUNS = timedelta(days=7)
#: Runs of jobs that are due several times a minute.
KEEP_FREQUENT_RUNS = timedelta(days=1)
FREQUENT_SECONDS = 30
#: The charts show an hour.
KEEP_SAMPLES = timedelta(hours=1, minutes=5)
KEEP_ALERTS = timedelta(days=30)


@periodic(seconds=600)
def forget_old_records() -> dict[str, object]:
    """Remove old job runs, samples, cleared alerts and the rows of dead processes."""
    finished = JobRun.objects.exclude(state__in=[JobRun.State.SENT, JobRun.State.RUNNING])
    frequent = JobHealth.objects.filter(seconds__lte=FREQUENT_SECONDS).values("job")
    runs, _ = finished.filter(sent_at__lt=Now() - KEEP_RUNS).delete()
    more, _ = finished.filter(sent_at__lt=Now() - KEEP_FREQUENT_RUNS, job__in=frequent).delete()
    samples, _ = StatSample.objects.filter(sampled_at__lt=Now() - KEEP_SAMPLES).delete()
    alerts, _ = Alert.objects.filter(cleared_at__lt=Now() - KEEP_ALERTS).delete()
    processes = heartbeats.forget_dead()
    return {"runs": runs + more, "samples": samples, "alerts": alerts, "processes": processes}
