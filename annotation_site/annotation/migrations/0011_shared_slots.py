"""Unopened slots are shared as people come: caps, idle days, who is away.

Studies that people work in are marked as due. The command `migrate` shares them when all
migrations have run, and so does each sweep of a worker: sharing takes the locks of a running site,
and the code that is there by then.
"""

from importlib import import_module

from django.db import migrations, models
from django.utils import timezone

trigger = import_module("annotation_site.annotation.migrations.0010_made_up_and_deleting")
BATCH = 1_000
AT_WORK = ("pilot", "open", "paused")


def mark_due(apps, schema_editor):
    """People who are in a study can work from now on: nobody is idle because of the past."""
    Study = apps.get_model("annotation", "Study")
    Membership = apps.get_model("annotation", "Membership")
    now = timezone.now()
    Study.objects.filter(state="open").update(shares_due=True)
    people = Membership.objects.filter(
        role="annotator", study__state__in=AT_WORK, withdrawn_at=None, removed_at=None
    )
    found = list(people.order_by("pk").values_list("pk", flat=True))
    for at in range(0, len(found), BATCH):
        Membership.objects.filter(pk__in=found[at : at + BATCH]).update(at_work_since=now)


class Migration(migrations.Migration):
    dependencies = [("annotation", "0010_made_up_and_deleting")]

    operations = [
        # SQLite makes the table again; what watches a column stands on the table.
        migrations.RunPython(trigger.drop_trigger, trigger.add_trigger),
        migrations.AddField(
            model_name="study",
            name="idle_days",
            field=models.PositiveSmallIntegerField(default=7),
        ),
        migrations.AddField(
            model_name="study",
            name="shares_due",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.RunPython(trigger.add_trigger, trigger.drop_trigger),
        migrations.AddField(
            model_name="membership",
            name="most_lists",
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="membership",
            name="away_since",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="membership",
            name="at_work_since",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunPython(mark_due, migrations.RunPython.noop),
    ]
