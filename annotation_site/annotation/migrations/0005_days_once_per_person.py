"""A day of a list counts once for each person; in a migration of its own, after the rows have one."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Count


def days_of_lists_again(apps, schema_editor):
    """Going back: a day is one row per list again, with what all its people have worked by then.

    Each row holds a total so far, its own person's; the list's is the sum of everybody's last one.
    """
    WorkedDay = apps.get_model("annotation", "WorkedDay")
    lists = WorkedDay.objects.order_by().values("assignment")
    shared = lists.annotate(people=Count("membership", distinct=True)).filter(people__gt=1)
    for found in list(shared.values_list("assignment", flat=True)):
        rows = list(WorkedDay.objects.filter(assignment=found).order_by("day", "pk"))
        totals, of_day = {}, {}
        for row in rows:
            totals[row.membership_id] = row.active_seconds
            kept = of_day.setdefault(row.day, row)
            kept.active_seconds = sum(totals.values())
            kept.submitted = kept.submitted or row.submitted
        kept = {row.pk for row in of_day.values()}
        WorkedDay.objects.filter(pk__in=[row.pk for row in rows if row.pk not in kept]).delete()
        WorkedDay.objects.bulk_update(of_day.values(), ["active_seconds", "submitted"])


class Migration(migrations.Migration):

    dependencies = [
        ("annotation", "0004_changes_and_who_worked"),
    ]

    operations = [
        migrations.AlterField(
            model_name="workedday",
            name="membership",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="worked_days",
                to="annotation.membership",
            ),
        ),
        migrations.RemoveConstraint(
            model_name="workedday",
            name="day_once_per_list",
        ),
        migrations.RunPython(migrations.RunPython.noop, days_of_lists_again),
        migrations.AddConstraint(
            model_name="workedday",
            constraint=models.UniqueConstraint(
                fields=["assignment", "membership", "day"], name="day_once_per_list_and_person"
            ),
        ),
    ]
