from __future__ import annotations

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

# The log as it is becomes the first partition, whatever its size: nothing is copied. Its number
# and upper bound are those of `traders.partitions`, 1,000,000 ids each.
INTO_PARTITIONS = """
ALTER TABLE traders_positionevent RENAME TO {first};
ALTER INDEX traders_positionevent_pkey RENAME TO {first}_pkey;
ALTER INDEX event_of_trader RENAME TO {first}_of_trader;
CREATE TABLE traders_positionevent (LIKE {first}, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE INDEX event_of_trader ON traders_positionevent (trader_id, id DESC);
ALTER TABLE traders_positionevent ATTACH PARTITION {first} FOR VALUES FROM (MINVALUE) TO ({behind});
"""
INTO_ONE_TABLE = """
CREATE TABLE whole (LIKE traders_positionevent);
INSERT INTO whole SELECT * FROM traders_positionevent;
DROP TABLE traders_positionevent;
ALTER TABLE whole RENAME TO traders_positionevent;
ALTER TABLE traders_positionevent ADD PRIMARY KEY (id);
CREATE INDEX event_of_trader ON traders_positionevent (trader_id, id DESC);
"""


def partition(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Make the table the first partition of its successor."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(greatest((SELECT max(head) FROM traders_eventhead),"
            " (SELECT max(id) FROM traders_positionevent)), 0) / 1000000"
        )
        (number,) = cursor.fetchone()
    schema_editor.execute(
        INTO_PARTITIONS.format(
            first=f"traders_positionevent_{number}", behind=(number + 1) * 1_000_000
        )
    )


class Migration(migrations.Migration):
    """The event log in partitions by id, which retention drops whole."""

    dependencies = [("traders", "0004_episodes_and_days")]
    operations = [
        migrations.RunPython(
            partition, lambda apps, schema_editor: schema_editor.execute(INTO_ONE_TABLE)
        )
    ]
