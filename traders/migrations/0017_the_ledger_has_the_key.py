from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


def keyless(model: str, related_name: str) -> migrations.AlterField:
    """Let the database no longer look for the trader of every row."""
    return migrations.AlterField(
        model_name=model,
        name="trader",
        field=models.ForeignKey(
            db_constraint=False,
            db_index=False,
            on_delete=django.db.models.deletion.CASCADE,
            related_name=related_name,
            to="traders.trader",
        ),
    )


class Migration(migrations.Migration):
    """Who writes these rows holds the lock of the trader's ledger row, which has the key."""

    dependencies = [
        ("traders", "0016_what_a_correction_is_for"),
    ]

    operations = [
        keyless("position", "positions"),
        keyless("roundtrip", "round_trips"),
        keyless("traderday", "days"),
        migrations.RemoveIndex(model_name="position", name="position_mark"),
        migrations.AddIndex(
            model_name="position",
            index=models.Index(
                models.F("coin"),
                models.OrderBy(models.F("as_of_ms"), descending=True),
                condition=models.Q(("as_of_ms__isnull", False)),
                name="position_mark",
            ),
        ),
    ]
