from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ("accounts", "0004_count_of_requests"),
    ]

    operations = [
        migrations.RenameField(
            model_name="requestkey",
            old_name="answer",
            new_name="response",
        ),
    ]
