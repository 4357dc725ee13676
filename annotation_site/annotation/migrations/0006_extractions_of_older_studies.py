from django.db import migrations

KINDS = ("value", "random", "update")


def name_extractions_and_kinds(apps, schema_editor):
    """Studies from before 0002 hold lists and do not say what they were drawn from.

    Without it they can be neither extended nor copied, and their archives name no model.
    """
    Item = apps.get_model("annotation", "Item")
    for study in apps.get_model("annotation", "Study").objects.filter(extractions=None):
        drawn = set(
            Item.objects.filter(study=study)
            .values_list("vector__extraction_id", "vector__kind")
            .distinct()
        )
        study.extractions.set({extraction for extraction, _ in drawn})
        study.kinds = [kind for kind in KINDS if kind in {kind for _, kind in drawn}]
        study.save(update_fields=["kinds"])


class Migration(migrations.Migration):

    dependencies = [
        ("annotation", "0005_days_once_per_person"),
    ]

    operations = [
        migrations.RunPython(name_extractions_and_kinds, migrations.RunPython.noop),
    ]
