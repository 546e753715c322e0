from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """A correction is called drift where nothing spoke against the position before."""

    dependencies = [
        ("traders", "0015_what_sockets_have_lost"),
    ]

    operations = [
        migrations.AlterField(
            model_name="correction",
            name="cause",
            field=models.CharField(
                choices=[
                    ("gap", "a gap is known, or another doubt"),
                    ("drift", "nothing spoke against it"),
                ],
                max_length=8,
            ),
        ),
    ]
