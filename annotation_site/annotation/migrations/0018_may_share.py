"""Whether single annotations may be shared; nobody agreed to that in older studies."""

from importlib import import_module

from django.db import migrations, models

# To add a column with a default, SQLite rebuilds the table and drops its trigger.
trigger = import_module("annotation_site.annotation.migrations.0010_made_up_and_deleting")


class Migration(migrations.Migration):
    dependencies = [("annotation", "0017_lists_of_a_set")]

    operations = [
        migrations.RunPython(trigger.drop_trigger, trigger.add_trigger),
        migrations.AddField(
            model_name="study",
            name="may_share",
            field=models.BooleanField(default=False),
        ),
        migrations.RunPython(trigger.add_trigger, trigger.drop_trigger),
    ]
