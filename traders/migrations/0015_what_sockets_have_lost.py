from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """A socket that has lost a coin tells how far it had carried it, also when it is killed."""

    dependencies = [
        ("traders", "0014_one_index_less"),
    ]

    operations = [
        migrations.AddField(
            model_name="feedsocket",
            name="lost",
            field=models.JSONField(default=dict),
        ),
    ]
