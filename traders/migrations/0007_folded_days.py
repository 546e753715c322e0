from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """What a row that was made of many days keeps beside their sums."""

    dependencies = [("traders", "0006_snapshots_in_partitions")]
    operations = [
        migrations.AddField(
            model_name="traderday",
            name="folded_since",
            field=models.DateField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="traderday",
            name="drawdown",
            field=models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
        ),
    ]
