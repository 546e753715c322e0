"""The operator's tokens: what a program shows in place of a login."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class ApiToken(models.Model):
    """One token; only its digest is kept, the token itself was printed once."""

    name = models.CharField(max_length=60)
    sha256 = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)  # at most a minute behind
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        """One living token for each name."""

        constraints = [
            models.UniqueConstraint(
                fields=["name"],
                condition=Q(revoked_at__isnull=True),
                name="one_living_token_per_name",
            )
        ]

    def __str__(self) -> str:
        """Return the name."""
        return self.name
