"""Tables of the index of tokens. Workers fill them for extractions that are there already."""

import django.db.models.deletion
from django.db import migrations, models


def keep_packed_rows_as_they_are(apps, schema_editor):
    """Packed numbers do not compress: PostgreSQL need not try."""
    if schema_editor.connection.vendor == "postgresql":
        for table, column in (("corpus_tokenpostings", "entries"), ("corpus_listsegment", "packed")):
            schema_editor.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL")


class Migration(migrations.Migration):
    dependencies = [("corpus", "0010_title_once")]

    operations = [
        migrations.CreateModel(
            name="ListSegment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("lists", models.PositiveIntegerField()),
                ("last_key", models.BigIntegerField()),
                ("is_last", models.BooleanField()),
                ("packed", models.BinaryField()),
                (
                    "extraction",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="segments",
                        to="corpus.extraction",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("extraction", "number"), name="segment_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="TokenPostings",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("segment", models.PositiveIntegerField()),
                ("block", models.PositiveIntegerField()),
                ("entries", models.BinaryField()),
                (
                    "extraction",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="postings",
                        to="corpus.extraction",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("extraction", "block", "segment"), name="postings_once"
                    )
                ],
            },
        ),
        migrations.RunPython(keep_packed_rows_as_they_are, migrations.RunPython.noop),
    ]
