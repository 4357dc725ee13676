"""A day of a list counts once for each person; in a migration of its own, after the rows have one."""

import django.db.models.deletion
from django.db import migrations, models


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
        migrations.AddConstraint(
            model_name="workedday",
            constraint=models.UniqueConstraint(
                fields=["assignment", "membership", "day"], name="day_once_per_list_and_person"
            ),
        ),
    ]
