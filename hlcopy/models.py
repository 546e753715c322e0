"""What the processes know of each other: job runs, heartbeats, measurements, alerts."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q


class JobRun(models.Model):
    """One slot of one periodic job; slot = whole periods since 1970 (`hlcopy.periodic`)."""

    class State(models.TextChoices):
        """What became of the slot."""

        SENT = "sent"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        MISSED = "missed"  # nobody took it before the next slot began

    job = models.CharField(max_length=60)
    slot = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.SENT)
    attempts = models.PositiveSmallIntegerField(default=0)  # how often it was sent
    sent_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # Sent: then it is sent again. Running: renewed by the worker; over, the worker is dead.
    lease_until = models.DateTimeField(null=True)
    worker = models.CharField(max_length=80, blank=True, default="")  # the heartbeat's name
    error = models.TextField(blank=True, default="")
    summary = models.JSONField(default=dict)

    class Meta:
        """A slot exists once: the unique constraint is the claim."""

        constraints = [models.UniqueConstraint(fields=["job", "slot"], name="job_slot_runs_once")]
        indexes = [
            # The newest runs of a job.
            models.Index(F("job"), F("slot").desc(), name="job_newest_slot"),
            # runscheduler, twice a second: what is not finished.
            models.Index("job", name="job_unfinished", condition=Q(state__in=["sent", "running"])),
            # The admin's filter: few rows, which else were looked for among all.
            models.Index("id", name="job_not_done", condition=~Q(state="done")),
        ]

    def __str__(self) -> str:
        """Return the job and its slot."""
        return f"{self.job} {self.slot}"


class JobHealth(models.Model):
    """One periodic job; whoever sends or takes a slot of it holds this row's lock."""

    job = models.CharField(max_length=60, primary_key=True)
    seconds = models.PositiveIntegerField()  # its period
    # Runs in a row that their worker did not survive; 3 put the job in quarantine.
    deaths = models.PositiveSmallIntegerField(default=0)
    quarantined_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        """Few rows."""

        verbose_name_plural = "job health"

    def __str__(self) -> str:
        """Return the job's name."""
        return self.job


class Heartbeat(models.Model):
    """A process that lives: written every second, judged by PostgreSQL's clock."""

    class Role(models.TextChoices):
        """What the process does."""

        SCHEDULER = "scheduler"
        WORKER = "worker"
        WEB = "web"

    name = models.CharField(max_length=80, primary_key=True)  # host:process:start
    role = models.CharField(max_length=10, choices=Role)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    numbers = models.JSONField(default=dict)  # what the process counts

    def __str__(self) -> str:
        """Return the role and the name."""
        return f"{self.role} {self.name}"


class Measurement(models.Model):
    """The newest value of something that is measured elsewhere than where it is shown."""

    name = models.CharField(max_length=40, primary_key=True)
    measured_at = models.DateTimeField()
    values = models.JSONField()

    def __str__(self) -> str:
        """Return the name."""
        return self.name


class StatSample(models.Model):
    """The numbers of one moment, kept for the rates and charts of the last hour."""

    sampled_at = models.DateTimeField(db_index=True)
    values = models.JSONField()

    def __str__(self) -> str:
        """Return the moment."""
        return self.sampled_at.isoformat()


class Alert(models.Model):
    """Something that an operator should know; open until it is cleared."""

    code = models.CharField(max_length=40)
    since = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True, blank=True)
    detail = models.CharField(max_length=300)

    class Meta:
        """An alert is raised once at a time."""

        constraints = [
            models.UniqueConstraint(
                "code", condition=Q(cleared_at__isnull=True), name="one_open_alert_of_a_code"
            )
        ]

    def __str__(self) -> str:
        """Return the code and since when."""
        return f"{self.code} since {self.since.isoformat()}"
