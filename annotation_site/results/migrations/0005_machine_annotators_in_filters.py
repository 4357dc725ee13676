"""A filter says `machine_annotators` where version 0.1 said `machine`."""

import hashlib
import json

from django.db import migrations


def rename(apps, old, new):
    Snapshot = apps.get_model("results", "Snapshot")
    for row in Snapshot.objects.filter(filters__has_key=old).only("filters", "filter_key"):
        row.filters[new] = row.filters.pop(old)
        text = json.dumps(row.filters, sort_keys=True)
        row.filter_key = hashlib.sha256(text.encode()).hexdigest()
        row.save(update_fields=["filters", "filter_key"])


def machine_to_machine_annotators(apps, schema_editor):
    rename(apps, "machine", "machine_annotators")


def machine_annotators_to_machine(apps, schema_editor):
    rename(apps, "machine_annotators", "machine")


class Migration(migrations.Migration):

    dependencies = [
        ("results", "0004_claimed_work"),
    ]

    operations = [
        migrations.RunPython(machine_to_machine_annotators, machine_annotators_to_machine),
    ]
