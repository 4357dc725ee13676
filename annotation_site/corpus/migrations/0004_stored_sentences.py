"""Stored sentences are a message and its values; the columns stay texts, and old ones are read."""

from django.db import migrations

import annotation_site.sentences


class Migration(migrations.Migration):
    dependencies = [("corpus", "0003_claimed_work")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="extraction",
                    name="error",
                    field=annotation_site.sentences.SentenceField(blank=True),
                ),
                migrations.AlterField(
                    model_name="extraction",
                    name="notice",
                    field=annotation_site.sentences.SentenceField(blank=True),
                ),
                migrations.AlterField(
                    model_name="extractionlayer",
                    name="error",
                    field=annotation_site.sentences.SentenceField(blank=True),
                ),
            ],
        ),
    ]
