"""Whether a study's results and lists may be published; nobody agreed to that in older studies."""

from importlib import import_module

from django.db import migrations, models

# To add a column with a default, SQLite rebuilds the table and drops its trigger.
trigger = import_module("annotation_site.annotation.migrations.0010_made_up_and_deleting")


class Migration(migrations.Migration):
    dependencies = [("annotation", "0015_trigger_prefixes")]

    operations = [
        migrations.RunPython(trigger.drop_trigger, trigger.add_trigger),
        migrations.AddField(
            model_name="study",
            name="may_publish",
            field=models.BooleanField(default=False),
        ),
        migrations.RunPython(trigger.add_trigger, trigger.drop_trigger),
    ]
