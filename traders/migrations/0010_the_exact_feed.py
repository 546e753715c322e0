from __future__ import annotations

from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models

EPISODES = """
UPDATE traders_position AS held
SET opened_at_ms = episode.opened_at_ms, peak_size = episode.peak_size,
    realised_pnl = episode.gross_pnl, fees = episode.fees
FROM traders_openepisode AS episode
WHERE episode.trader_id = held.trader_id AND episode.coin = held.coin
    AND episode.size = held.size
"""
# A cursor is written with each of its coin's batches: its window stays in the row, and the row in
# its page.
CURSORS = """
ALTER TABLE traders_feedcursor ALTER COLUMN keys SET STORAGE MAIN;
ALTER TABLE traders_feedcursor SET (toast_tuple_target = 8160, fillfactor = 40)
"""


class Migration(migrations.Migration):
    """Cursors, gaps, doubts, corrections; an open position has its episode in its own row."""

    dependencies = [
        ("traders", "0009_traders_in_trouble"),
    ]

    operations = [
        migrations.CreateModel(
            name="Correction",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("coin", models.CharField(max_length=32)),
                ("corrected_at", models.DateTimeField()),
                ("state_time_ms", models.BigIntegerField()),
                ("ledger_size", models.DecimalField(decimal_places=18, max_digits=38)),
                ("snapshot_size", models.DecimalField(decimal_places=18, max_digits=38)),
                (
                    "cause",
                    models.CharField(
                        choices=[
                            ("gap", "trades were missed in a gap that is known"),
                            ("drift", "nothing is known to be missing"),
                        ],
                        max_length=8,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="FeedCursor",
            fields=[
                ("coin", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("keys", models.BinaryField(default=bytes)),
                ("floor_ms", models.BigIntegerField(null=True)),
                ("newest_ms", models.BigIntegerField(null=True)),
                ("gap_until_ms", models.BigIntegerField(null=True)),
                (
                    "last_price",
                    models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
                ),
                ("trades", models.BigIntegerField(default=0)),
                ("late", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="FeedGap",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("coin", models.CharField(max_length=32)),
                ("from_ms", models.BigIntegerField(null=True)),
                ("to_ms", models.BigIntegerField()),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("first", "before the first subscription"),
                            ("outage", "not covered for longer than the replay reaches back"),
                            ("late", "a trade too late to be told from a repeat"),
                            ("overflow", "no room for trades that waited for the database"),
                            ("refused", "a trade that could not be written"),
                            ("drift", "three traders corrected within five minutes"),
                        ],
                        max_length=8,
                    ),
                ),
                ("noted_at", models.DateTimeField()),
                ("queued_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="WaitingFill",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("trader_id", models.BigIntegerField()),
                ("coin", models.CharField(max_length=32)),
                ("time_ms", models.BigIntegerField()),
                ("size", models.DecimalField(decimal_places=18, max_digits=38)),
                ("price", models.DecimalField(decimal_places=18, max_digits=38)),
                ("is_taker", models.BooleanField()),
            ],
        ),
        migrations.AddField(
            model_name="ledger",
            name="bases",
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name="ledger",
            name="doubts",
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name="ledger",
            name="realised_pnl",
            field=models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name="ledger",
            name="unrealised_pnl",
            field=models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name="position",
            name="fees",
            field=models.DecimalField(
                blank=True, decimal_places=18, default=Decimal("0"), max_digits=38
            ),
        ),
        migrations.AddField(
            model_name="position",
            name="opened_at_ms",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="position",
            name="peak_size",
            field=models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name="position",
            name="realised_pnl",
            field=models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name="trader",
            name="healing",
            field=models.CharField(
                blank=True,
                choices=[
                    ("gap", "held a coin whose trades were missed"),
                    ("base", "a position is not known yet"),
                    ("doubt", "a difference needs its second look"),
                ],
                db_default="",
                default="",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="traderday",
            name="fills",
            field=models.IntegerField(default=0),
        ),
        migrations.AddField(
            model_name="traderday",
            name="held_ms",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="traderday",
            name="taker_volume_usd",
            field=models.DecimalField(
                blank=True, decimal_places=18, default=Decimal("0"), max_digits=38
            ),
        ),
        migrations.AddField(
            model_name="traderday",
            name="unknown_volume_usd",
            field=models.DecimalField(
                blank=True, decimal_places=18, default=Decimal("0"), max_digits=38
            ),
        ),
        migrations.AddField(
            model_name="traderday",
            name="wash_volume_usd",
            field=models.DecimalField(
                blank=True, decimal_places=18, default=Decimal("0"), max_digits=38
            ),
        ),
        migrations.AlterField(
            model_name="position",
            name="as_of_ms",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddIndex(
            model_name="trader",
            index=models.Index(
                models.F("id"),
                condition=models.Q(("healing", ""), _negated=True),
                name="trader_healing",
            ),
        ),
        migrations.AddField(
            model_name="correction",
            name="trader",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="corrections",
                to="traders.trader",
            ),
        ),
        migrations.AddIndex(
            model_name="feedgap",
            index=models.Index(models.F("coin"), models.F("to_ms"), name="gaps_of_coin"),
        ),
        migrations.AddIndex(
            model_name="feedgap",
            index=models.Index(models.F("noted_at"), name="gap_noted"),
        ),
        migrations.AddIndex(
            model_name="feedgap",
            index=models.Index(
                models.F("id"), condition=models.Q(("queued_at__isnull", True)), name="gap_unqueued"
            ),
        ),
        migrations.AddIndex(
            model_name="waitingfill",
            index=models.Index(
                models.F("trader_id"),
                models.F("coin"),
                models.F("time_ms"),
                models.F("id"),
                name="waiting_fills",
            ),
        ),
        migrations.AddIndex(
            model_name="correction",
            index=models.Index(models.F("corrected_at"), name="correction_made"),
        ),
        migrations.AddIndex(
            model_name="correction",
            index=models.Index(
                models.F("coin"), models.F("corrected_at"), name="corrections_of_coin"
            ),
        ),
        migrations.RunSQL(EPISODES, migrations.RunSQL.noop),
        migrations.DeleteModel(
            name="OpenEpisode",
        ),
        migrations.RunSQL(CURSORS, migrations.RunSQL.noop),
    ]
