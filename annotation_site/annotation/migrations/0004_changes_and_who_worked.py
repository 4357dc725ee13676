"""Versions of a study's data that no answer makes; hours that stay with whoever worked them."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import OuterRef, Subquery


def days_of_their_lists_people(apps, schema_editor):
    """Until now a day's time was that of the list's own person."""
    assignments = apps.get_model("annotation", "Assignment").objects.filter(pk=OuterRef("assignment"))
    apps.get_model("annotation", "WorkedDay").objects.update(
        membership=Subquery(assignments.values("membership"))
    )


class Migration(migrations.Migration):

    dependencies = [
        ("annotation", "0003_removed_annotators"),
    ]

    operations = [
        migrations.AddField(
            model_name="study",
            name="other_changes",
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="workedday",
            name="membership",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="worked_days",
                to="annotation.membership",
            ),
        ),
        migrations.RunPython(days_of_their_lists_people, migrations.RunPython.noop),
    ]
