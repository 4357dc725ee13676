"""A study's search engine and encyclopedia."""

from importlib import import_module

from django.db import migrations, models

# To add a column with a default, SQLite rebuilds the table and drops its trigger.
trigger = import_module("annotation_site.annotation.migrations.0010_made_up_and_deleting")


class Migration(migrations.Migration):
    dependencies = [("annotation", "0013_looks_at_lists")]

    operations = [
        migrations.RunPython(trigger.drop_trigger, trigger.add_trigger),
        migrations.AddField(
            model_name="study",
            name="search_engine",
            field=models.CharField(default="duckduckgo", max_length=20),
        ),
        migrations.AddField(
            model_name="study",
            name="encyclopedia",
            field=models.CharField(blank=True, default="en", max_length=20),
        ),
        migrations.RunPython(trigger.add_trigger, trigger.drop_trigger),
    ]
