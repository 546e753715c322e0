from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Indexes for the numbers and lists about gaps and corrections."""

    dependencies = [
        ("traders", "0011_fills_of_a_node"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="correction",
            index=models.Index(
                models.F("trader"),
                models.OrderBy(models.F("id"), descending=True),
                name="corrections_of_trader",
            ),
        ),
        migrations.AddIndex(
            model_name="correction",
            index=models.Index(
                models.F("corrected_at"), condition=models.Q(("cause", "drift")), name="drift"
            ),
        ),
        migrations.AddIndex(
            model_name="feedgap",
            index=models.Index(
                models.F("reason"),
                models.OrderBy(models.F("id"), descending=True),
                name="gaps_by_reason",
            ),
        ),
    ]
