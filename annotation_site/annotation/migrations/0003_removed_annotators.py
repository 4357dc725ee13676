from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('annotation', '0002_campaigns'),
    ]

    operations = [
        migrations.AddField(
            model_name='membership',
            name='removed_at',
            field=models.DateTimeField(null=True),
        ),
    ]
