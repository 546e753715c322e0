from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Indexes for the admin's filters: of few rows, so that they cost the writers nothing."""

    dependencies = [("traders", "0008_what_lists_ask_for")]
    operations = [
        migrations.AddIndex(
            model_name="trader",
            index=models.Index(
                models.F("id"),
                condition=models.Q(("failures__gt", 0)),
                name="trader_failing",
            ),
        ),
        migrations.AddIndex(
            model_name="trader",
            index=models.Index(
                models.F("id"),
                condition=models.Q(("quarantined_at__isnull", False)),
                name="trader_quarantined",
            ),
        ),
    ]
