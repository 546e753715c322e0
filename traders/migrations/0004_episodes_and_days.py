from __future__ import annotations

from decimal import Decimal

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """What traders have achieved, and what tells it: marks, funding, values, returns."""

    dependencies = [
        ("traders", "0003_room_for_claims"),
    ]

    operations = [
        migrations.CreateModel(
            name="OpenEpisode",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("coin", models.CharField(max_length=32)),
                ("size", models.DecimalField(decimal_places=18, max_digits=38)),
                ("entry_price", models.DecimalField(decimal_places=18, max_digits=38)),
                ("opened_at_ms", models.BigIntegerField(null=True)),
                ("peak_size", models.DecimalField(decimal_places=18, max_digits=38)),
                (
                    "gross_pnl",
                    models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
                ),
                ("fees", models.DecimalField(decimal_places=18, max_digits=38)),
            ],
        ),
        migrations.CreateModel(
            name="RoundTrip",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("dex", models.CharField(blank=True, default="", max_length=16)),
                ("coin", models.CharField(max_length=32)),
                (
                    "side",
                    models.CharField(choices=[("LONG", "Long"), ("SHORT", "Short")], max_length=5),
                ),
                ("opened_at_ms", models.BigIntegerField(null=True)),
                ("closed_at_ms", models.BigIntegerField()),
                ("peak_size", models.DecimalField(decimal_places=18, max_digits=38)),
                ("entry_price", models.DecimalField(decimal_places=18, max_digits=38)),
                (
                    "gross_pnl",
                    models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
                ),
                ("fees", models.DecimalField(decimal_places=18, max_digits=38)),
                (
                    "funding",
                    models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
                ),
                (
                    "net_pnl",
                    models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
                ),
                ("complete", models.BooleanField()),
                ("estimated", models.BooleanField()),
            ],
        ),
        migrations.CreateModel(
            name="TraderDay",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField()),
                (
                    "volume_usd",
                    models.DecimalField(
                        blank=True, decimal_places=18, default=Decimal("0"), max_digits=38
                    ),
                ),
                ("events", models.IntegerField(default=0)),
                ("closed", models.IntegerField(default=0)),
                ("wins", models.IntegerField(default=0)),
                ("losses", models.IntegerField(default=0)),
                (
                    "gross_profit",
                    models.DecimalField(
                        blank=True, decimal_places=18, default=Decimal("0"), max_digits=38
                    ),
                ),
                (
                    "gross_loss",
                    models.DecimalField(
                        blank=True, decimal_places=18, default=Decimal("0"), max_digits=38
                    ),
                ),
                (
                    "realised_gross",
                    models.DecimalField(
                        blank=True, decimal_places=18, default=Decimal("0"), max_digits=38
                    ),
                ),
                (
                    "fees",
                    models.DecimalField(
                        blank=True, decimal_places=18, default=Decimal("0"), max_digits=38
                    ),
                ),
                (
                    "equity_open",
                    models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
                ),
                (
                    "equity_close",
                    models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
                ),
                (
                    "equity_min",
                    models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
                ),
                (
                    "equity_max",
                    models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
                ),
                (
                    "nav_open",
                    models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
                ),
                (
                    "nav_close",
                    models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
                ),
                (
                    "nav_min",
                    models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
                ),
                (
                    "nav_max",
                    models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
                ),
                (
                    "net_flow",
                    models.DecimalField(
                        blank=True, decimal_places=18, default=Decimal("0"), max_digits=38
                    ),
                ),
                ("snapshots", models.IntegerField(default=0)),
            ],
        ),
        migrations.AddField(
            model_name="ledger",
            name="account_value",
            field=models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name="ledger",
            name="nav",
            field=models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name="position",
            name="funding_since_open",
            field=models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name="position",
            name="mark_price",
            field=models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
        ),
        migrations.AddIndex(
            model_name="position",
            index=models.Index(
                models.F("coin"),
                models.OrderBy(models.F("as_of_ms"), descending=True),
                name="position_mark",
            ),
        ),
        migrations.AddField(
            model_name="openepisode",
            name="trader",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, to="traders.trader"
            ),
        ),
        migrations.AddField(
            model_name="roundtrip",
            name="trader",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="round_trips",
                to="traders.trader",
            ),
        ),
        migrations.AddField(
            model_name="traderday",
            name="trader",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="days",
                to="traders.trader",
            ),
        ),
        migrations.AddConstraint(
            model_name="openepisode",
            constraint=models.UniqueConstraint(
                fields=("trader", "coin"), name="one_open_episode_per_coin"
            ),
        ),
        migrations.AddIndex(
            model_name="roundtrip",
            index=models.Index(
                models.F("trader"),
                models.OrderBy(models.F("closed_at_ms"), descending=True),
                name="round_trips_of_trader",
            ),
        ),
        migrations.AddConstraint(
            model_name="traderday",
            constraint=models.UniqueConstraint(
                fields=("trader", "day"), name="one_row_per_trader_and_day"
            ),
        ),
    ]
