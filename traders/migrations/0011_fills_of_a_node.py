from __future__ import annotations

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    """How far files are imported; a position that only a fill has told has no entry price."""

    dependencies = [
        ("traders", "0010_the_exact_feed"),
    ]

    operations = [
        migrations.CreateModel(
            name="ImportedFile",
            fields=[
                ("path", models.TextField(primary_key=True, serialize=False)),
                ("digest", models.CharField(max_length=64)),
                ("offset", models.BigIntegerField(default=0)),
                ("lines", models.BigIntegerField(default=0)),
                ("damaged", models.BigIntegerField(default=0)),
                ("newest_ms", models.BigIntegerField(null=True)),
                (
                    "coins",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=32), default=list, size=None
                    ),
                ),
                ("is_finished", models.BooleanField(default=False)),
                ("counted_at", models.DateTimeField(auto_now=True)),
            ],
        ),
        migrations.AlterField(
            model_name="position",
            name="entry_price",
            field=models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
        ),
        migrations.AlterField(
            model_name="roundtrip",
            name="entry_price",
            field=models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
        ),
    ]
