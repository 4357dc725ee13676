"""The vectors that a study's lists are drawn from, where it was made of a set."""

from importlib import import_module

from django.db import migrations, models

trigger = import_module("annotation_site.annotation.migrations.0010_made_up_and_deleting")


class Migration(migrations.Migration):
    dependencies = [("annotation", "0016_may_publish")]

    operations = [
        migrations.RunPython(trigger.drop_trigger, trigger.add_trigger),
        migrations.AddField(
            model_name="study",
            name="drawn_from",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.RunPython(trigger.add_trigger, trigger.drop_trigger),
    ]
