"""Drafts and revisions hold an `annotation`; version 0.1 called it `answer`."""

from django.db import migrations

ROWS_AT_ONCE = 1000


def renamed(content, old, new):
    """A draft, or what a revision holds, with the steps of a draft that can be undone."""
    found = key_renamed(content, old, new)
    ui = found.get("ui")
    if isinstance(ui, dict):
        for name in ("past", "future"):
            if isinstance(ui.get(name), list):
                ui[name] = [key_renamed(step, old, new) for step in ui[name]]
    return found


def key_renamed(content, old, new):
    if not isinstance(content, dict):
        return content
    return {new if name == old else name: value for name, value in content.items()}


def rename(apps, old, new):
    """In batches, each its own transaction; begun again after a stop, it does what is left."""
    for name, field in (("Assignment", "draft"), ("Revision", "snapshot")):
        rows = apps.get_model("annotation", name).objects.order_by("pk")
        last = 0
        while batch := list(
            rows.filter(pk__gt=last, **{f"{field}__has_key": old}).only(field)[:ROWS_AT_ONCE]
        ):
            for row in batch:
                setattr(row, field, renamed(getattr(row, field), old, new))
            rows.bulk_update(batch, [field], batch_size=ROWS_AT_ONCE)
            last = batch[-1].pk


def answers_to_annotations(apps, schema_editor):
    rename(apps, "answer", "annotation")


def annotations_to_answers(apps, schema_editor):
    rename(apps, "annotation", "answer")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("annotation", "0007_taken_and_cut_time"),
    ]

    operations = [
        migrations.RunPython(answers_to_annotations, annotations_to_answers),
    ]
