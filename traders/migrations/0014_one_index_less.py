from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """The unique index of (trader, coin) finds a trader's positions as well."""

    dependencies = [
        ("traders", "0013_what_the_feed_has_told"),
    ]

    operations = [
        migrations.AlterField(
            model_name="position",
            name="trader",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="positions",
                to="traders.trader",
            ),
        ),
    ]
