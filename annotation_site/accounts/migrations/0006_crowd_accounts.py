"""Accounts of people who join by an open link."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_response_of_requests")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="is_crowd",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=Q(is_crowd=False) | Q(role="annotator", email=""),
                name="crowd_accounts_annotate",
            ),
        ),
    ]
