"""No two extractions have the same title; in a transaction of its own, after the rows have one."""

import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("corpus", "0009_titles_of_extractions")]

    operations = [
        migrations.AddConstraint(
            model_name="extraction",
            constraint=models.UniqueConstraint(
                django.db.models.functions.text.Lower("title"),
                condition=models.Q(("title", ""), _negated=True),
                name="extraction_title_once",
            ),
        ),
    ]
