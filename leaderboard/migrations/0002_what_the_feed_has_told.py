from __future__ import annotations

from django.db import migrations, models

FLOATS = (
    *("total_volume_usd", "net_pnl", "realised_pnl", "best_trip_pnl", "worst_trip_pnl"),
    *("average_hold_seconds", "taker_share", "known_share", "wash_volume_usd"),
)
# The boards of before are made again in the next slot.
CREATE = """
DELETE FROM leaderboard_board;
DROP TABLE leaderboard_metric;
CREATE TABLE leaderboard_metric (
    id bigint, generation bigint, trader_id bigint, rank integer,
    trader_score double precision, account_age_days double precision,
    total_volume_usd double precision, win_rate double precision, win_rate_wilson double precision,
    risk_ratio double precision, max_drawdown double precision, net_pnl double precision,
    realised_pnl double precision, closed_trips integer, wins integer, losses integer,
    profit_factor double precision, best_trip_pnl double precision,
    worst_trip_pnl double precision, average_hold_seconds double precision, fills bigint,
    taker_share double precision, known_share double precision, wash_volume_usd double precision,
    estimated boolean
) PARTITION BY LIST (generation)
"""


def known_in_state() -> list[migrations.operations.base.Operation]:
    columns = [
        *((name, models.FloatField(null=True)) for name in FLOATS),
        ("fills", models.BigIntegerField(null=True)),
        ("estimated", models.BooleanField(null=True)),
    ]
    before = FLOATS[:5]
    return [
        (migrations.AlterField if name in before else migrations.AddField)(
            "leaderboardmetric", name, field
        )
        for name, field in columns
    ]


class Migration(migrations.Migration):
    """Amounts as doubles, and what the feed has told."""

    dependencies = [
        ("leaderboard", "0001_the_board"),
        ("traders", "0013_what_the_feed_has_told"),
    ]

    operations = [
        migrations.AddField("board", "feed_days", models.JSONField(default=dict)),
        migrations.RunSQL(CREATE, migrations.RunSQL.noop, state_operations=known_in_state()),
    ]
