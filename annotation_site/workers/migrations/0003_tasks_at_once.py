from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ("workers", "0002_one_sweeper"),
    ]

    operations = [
        migrations.RenameField(
            model_name="worker",
            old_name="places",
            new_name="tasks_at_once",
        ),
    ]
