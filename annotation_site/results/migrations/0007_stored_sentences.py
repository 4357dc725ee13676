"""Stored sentences are a message and its values; the columns stay texts, and old ones are read."""

from django.db import migrations

import annotation_site.sentences


class Migration(migrations.Migration):
    dependencies = [("results", "0006_figures_in_files")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="exportjob",
                    name="error",
                    field=annotation_site.sentences.SentenceField(blank=True),
                ),
                migrations.AlterField(
                    model_name="snapshot",
                    name="error",
                    field=annotation_site.sentences.SentenceField(blank=True),
                ),
            ],
        ),
    ]
