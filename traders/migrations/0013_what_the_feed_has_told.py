from __future__ import annotations

from decimal import Decimal

from django.db import migrations, models

# Before the feed was counted, snapshots alone have told everything.
ESTIMATED = """
UPDATE traders_traderday SET estimated_events = events, estimated_volume_usd = volume_usd
 WHERE fills = 0 AND events > 0
"""
COMPLETED = """
UPDATE traders_traderday AS kept
   SET completed = ended.completed, held_ms = ended.held_ms,
       best_trip_pnl = ended.best, worst_trip_pnl = ended.worst
  FROM (SELECT day.id, count(*) AS completed,
               sum(greatest(0, closed_at_ms - opened_at_ms)) AS held_ms,
               max(net_pnl) AS best, min(net_pnl) AS worst
          FROM traders_roundtrip AS trip JOIN traders_traderday AS day
               ON day.trader_id = trip.trader_id
              AND (to_timestamp(closed_at_ms / 1000) AT TIME ZONE 'UTC')::date
                  BETWEEN coalesce(folded_since, day.day) AND day.day
         WHERE trip.complete
         GROUP BY day.id) AS ended
 WHERE kept.id = ended.id
"""


class Migration(migrations.Migration):
    """How long the feed was carried, and which of the days' numbers snapshots alone have told."""

    dependencies = [
        ("traders", "0012_what_the_feed_lists_ask_for"),
    ]

    operations = [
        migrations.CreateModel(
            name="FeedDay",
            fields=[
                ("day", models.DateField(primary_key=True, serialize=False)),
                ("covered_seconds", models.FloatField(default=0)),
                ("counted_until", models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name="traderday",
            name="completed",
            field=models.IntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="traderday",
            name="estimated_events",
            field=models.IntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="traderday",
            name="estimated_volume_usd",
            field=models.DecimalField(
                blank=True,
                db_default=Decimal(0),
                decimal_places=18,
                default=Decimal(0),
                max_digits=38,
            ),
        ),
        migrations.AddField(
            model_name="traderday",
            name="best_trip_pnl",
            field=models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
        ),
        migrations.AddField(
            model_name="traderday",
            name="worst_trip_pnl",
            field=models.DecimalField(blank=True, decimal_places=18, max_digits=38, null=True),
        ),
        migrations.RunSQL(ESTIMATED, migrations.RunSQL.noop),
        migrations.RunSQL(COMPLETED, migrations.RunSQL.noop),
    ]
