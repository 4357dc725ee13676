"""Studies whose lists are trigger prefixes of keys, and whether these leave short lists out."""

from importlib import import_module

from django.db import migrations, models

# To add a column with a default, SQLite rebuilds the table and drops its trigger.
trigger = import_module("annotation_site.annotation.migrations.0010_made_up_and_deleting")


class Migration(migrations.Migration):
    dependencies = [("annotation", "0014_look_up")]

    operations = [
        migrations.RunPython(trigger.drop_trigger, trigger.add_trigger),
        migrations.AlterField(
            model_name="study",
            name="list_source",
            field=models.CharField(
                choices=[
                    ("top_tokens", "top tokens of vectors"),
                    ("trigger_prefixes", "trigger prefixes of keys"),
                ],
                default="top_tokens",
                max_length=20,
            ),
        ),
        migrations.AddField(
            model_name="study",
            name="full_lists_only",
            field=models.BooleanField(default=False),
        ),
        migrations.RunPython(trigger.add_trigger, trigger.drop_trigger),
    ]
