"""Requests of a person are counted in one row."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_token'),
    ]

    operations = [
        migrations.CreateModel(
            name='RequestCount',
            fields=[
                ('counter', models.CharField(max_length=60, primary_key=True, serialize=False)),
                ('window', models.BigIntegerField()),
                ('count', models.PositiveIntegerField()),
            ],
        ),
    ]
