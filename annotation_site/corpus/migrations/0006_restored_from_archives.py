"""Extractions that came with a study's archive: their bundle may be loaded beside them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("corpus", "0005_parts_of_speech_and_senses")]

    operations = [
        migrations.AddField(
            model_name="extraction", name="restored", field=models.JSONField(null=True)
        ),
        migrations.AlterField(
            model_name="extraction",
            name="bundle_digest",
            field=models.CharField(max_length=80, null=True),
        ),
        migrations.AddConstraint(
            model_name="extraction",
            constraint=models.UniqueConstraint(
                condition=models.Q(("restored__isnull", True)),
                fields=("bundle_digest",),
                name="bundle_once",
            ),
        ),
    ]
