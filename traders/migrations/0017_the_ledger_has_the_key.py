from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

# Writers go from the traders to these tables: who takes them in another order can wait in a circle.
# Where somebody holds one of them (a dump, say) this fails, instead of holding up everybody.
LOCK_ALL = """
SET LOCAL lock_timeout = '3s';
LOCK TABLE traders_trader, traders_position, traders_traderday, traders_roundtrip
    IN ACCESS EXCLUSIVE MODE;
"""


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
        migrations.RunSQL(LOCK_ALL, migrations.RunSQL.noop),
        keyless("position", "positions"),
        keyless("roundtrip", "round_trips"),
        keyless("traderday", "days"),
    ]
