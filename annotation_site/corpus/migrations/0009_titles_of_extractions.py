"""Give every extraction a title: the model, how many lists, and what else sets it apart."""

from django.db import migrations, models

CHUNK = 500
KINDS = {"value", "random", "update"}


def default_title(extraction):
    """As new extractions of this version get theirs."""
    found = extraction.parameters if isinstance(extraction.parameters, dict) else {}
    name = str(found.get("name") or extraction.model_source).rpartition("/")[2]
    parts = [name[:80] or extraction.model_source[:80]]
    if isinstance(chosen := found.get("vectors"), list):
        parts.append(f"{len(chosen):,} chosen vector{'s' if len(chosen) != 1 else ''}")
    elif (per_layer := found.get("per_layer")) is not None:
        parts.append("all value vectors" if per_layer == "all" else f"{per_layer} per layer")
    kinds = found.get("kinds")
    if isinstance(kinds, list) and set(map(str, kinds)) != KINDS:
        parts.append(" and ".join(map(str, kinds)))
    if found.get("seed") not in (None, 0):
        parts.append(f"seed {found['seed']}")
    return ", ".join(parts)[:160]


def give(apps, schema_editor):
    Extraction = apps.get_model("corpus", "Extraction")
    rows = Extraction.objects.using(schema_editor.connection.alias)
    taken = set()
    last = 0
    while chunk := list(
        rows.filter(pk__gt=last).order_by("pk").only("parameters", "model_source", "created_at")[:CHUNK]
    ):
        for extraction in chunk:
            title = base = default_title(extraction)
            day = extraction.created_at
            number = 1
            while title.lower() in taken:
                title = f"{base}, {day.day} {day:%b %Y}"
                if number > 1:
                    title += f", {number}"
                number += 1
            taken.add(title.lower())
            extraction.title = title
        rows.bulk_update(chunk, ["title"])
        last = chunk[-1].pk


class Migration(migrations.Migration):
    dependencies = [("corpus", "0008_uploaded_corpora")]

    operations = [
        migrations.AddField(
            model_name="extraction",
            name="title",
            field=models.CharField(blank=True, default="", max_length=200),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="extraction",
            name="expected_seconds",
            field=models.FloatField(null=True),
        ),
        migrations.RunPython(give, migrations.RunPython.noop, elidable=True),
    ]
