"""Runs of the periodic jobs: the claim that makes a slot run once, and how the run went."""

from __future__ import annotations

from django.db import models


class JobRun(models.Model):
    """One slot of one periodic job; slot = whole periods since 1970 (`hlcopy.periodic`)."""

    class State(models.TextChoices):
        """What became of the slot."""

        SENT = "sent"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"

    job = models.CharField(max_length=60)
    slot = models.BigIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.SENT)
    attempts = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    # Until then the worker is believed alive; afterwards the scheduler sends the slot again.
    lease_until = models.DateTimeField(null=True)
    error = models.TextField(blank=True, default="")
    summary = models.JSONField(default=dict)

    class Meta:
        """A slot exists once: the unique constraint is the claim."""

        constraints = [models.UniqueConstraint(fields=["job", "slot"], name="job_slot_runs_once")]
        indexes = [
            # runscheduler: the newest slot of a job; admin: the newest first.
            models.Index(models.F("job"), models.F("slot").desc(), name="job_newest_slot"),
        ]

    def __str__(self) -> str:
        """Return the job and its slot."""
        return f"{self.job} {self.slot}"
