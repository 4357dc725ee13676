"""No moment of a person counts twice, and what does not count is told."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_token'),
        ('annotation', '0006_extractions_of_older_studies'),
    ]

    operations = [
        migrations.CreateModel(
            name='TakenTime',
            fields=[
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('spans', models.JSONField(default=list)),
                ('at', models.DateTimeField(null=True)),
                ('day', models.DateField(null=True)),
                ('day_seconds', models.PositiveIntegerField(default=0)),
            ],
            options={
                'verbose_name_plural': 'taken time',
            },
        ),
        migrations.AddField(
            model_name='assignment',
            name='looked_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='assignment',
            name='reported_seconds',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='workedday',
            name='cut_reason',
            field=models.CharField(blank=True, choices=[('clock', 'more than the time that passed, all lists of the person together'), ('day', 'more than can count on one day'), ('not opened', 'for a submitted list that was not opened again')], max_length=10),
        ),
        migrations.AddField(
            model_name='workedday',
            name='cut_seconds',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddIndex(
            model_name='workedday',
            index=models.Index(condition=models.Q(('cut_seconds__gt', 0)), fields=['membership'], name='cut_days'),
        ),
    ]
