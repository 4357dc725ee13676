import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Apart from the first, because studies need people before invitations can name a study."""

    dependencies = [
        ('accounts', '0001_initial'),
        ('annotation', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('public_id', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('token_digest', models.CharField(max_length=64, unique=True)),
                ('role', models.CharField(choices=[('annotator', 'annotator'), ('researcher', 'researcher'), ('admin', 'admin')], default='annotator', max_length=20)),
                ('study_role', models.CharField(blank=True, max_length=20)),
                ('expires_at', models.DateTimeField()),
                ('uses_allowed', models.PositiveIntegerField(default=1)),
                ('uses', models.PositiveIntegerField(default=0)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('study', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='invitations', to='annotation.study')),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('uses__lte', models.F('uses_allowed'))), name='invitation_uses_allowed'), models.CheckConstraint(condition=models.Q(models.Q(('study', None), ('study_role', '')), models.Q(('study__isnull', False), models.Q(('study_role', ''), _negated=True)), _connector='OR'), name='invitation_role_with_its_study')],
            },
        ),
    ]
