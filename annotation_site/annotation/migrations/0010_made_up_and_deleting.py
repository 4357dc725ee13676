"""Studies with made-up annotations, which stay so, and studies that are being deleted."""

from django.db import migrations, models

# SQLite drops the trigger if a later migration rebuilds the table. That migration must then add it
# again; a test checks that it is there.
FUNCTION = """
    CREATE OR REPLACE FUNCTION study_made_up_stays() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'made-up annotations stay made-up'; END $$
"""
TRIGGER = {
    "sqlite": """
        CREATE TRIGGER study_made_up_stays BEFORE UPDATE OF made_up ON annotation_study
        WHEN NEW.made_up <> OLD.made_up
        BEGIN SELECT RAISE(ABORT, 'made-up annotations stay made-up'); END
    """,
    "postgresql": """
        CREATE TRIGGER study_made_up_stays BEFORE UPDATE OF made_up ON annotation_study
        FOR EACH ROW WHEN (NEW.made_up <> OLD.made_up) EXECUTE FUNCTION study_made_up_stays()
    """,
}


def add_trigger(apps, schema_editor):
    vendor = schema_editor.connection.vendor
    if vendor == "postgresql":
        schema_editor.execute(FUNCTION)
    schema_editor.execute(TRIGGER[vendor])


def drop_trigger(apps, schema_editor):
    on_table = " ON annotation_study" if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"DROP TRIGGER IF EXISTS study_made_up_stays{on_table}")
    if on_table:
        schema_editor.execute("DROP FUNCTION IF EXISTS study_made_up_stays()")


class Migration(migrations.Migration):
    dependencies = [("annotation", "0009_gloss_rule")]

    operations = [
        migrations.AddField(
            model_name="study",
            name="made_up",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.AlterField(
            model_name="study",
            name="state",
            field=models.CharField(
                choices=[
                    ("draft", "draft"),
                    ("pilot", "in its pilot phase"),
                    ("open", "open"),
                    ("paused", "paused"),
                    ("closed", "closed"),
                    ("archived", "archived"),
                    ("deleting", "being deleted"),
                ],
                default="draft",
                max_length=10,
            ),
        ),
        migrations.RunPython(add_trigger, drop_trigger),
    ]
