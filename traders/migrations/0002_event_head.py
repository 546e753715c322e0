from __future__ import annotations

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def create_head(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Begin the event log: number 0, a new epoch."""
    apps.get_model("traders", "EventHead").objects.create()


class Migration(migrations.Migration):
    """The one row that numbers the events."""

    dependencies = [("traders", "0001_the_book")]
    operations = [migrations.RunPython(create_head, migrations.RunPython.noop)]
