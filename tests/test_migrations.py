"""No migration keeps a table that grows with the work locked while it is read or rewritten.

People annotate while a site is upgraded only where no statement of a migration holds such a table
for longer than a moment. On PostgreSQL a new column is such a moment, unless its value differs
from row to row; an index, a constraint, a change of type and a walk over all rows are not.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from tests.large_tables import LARGE

UNRELEASED = "it came before the first release, when no site had worked for long"
# What may happen nevertheless, and why.
ALLOWED = {
    ("accounts", "0001_initial", "RunPython make_log_append_only"): "its table is new",
    ("accounts", "0001_initial", "RunPython make_cache_table"): "it makes the table",
    ("annotation", "0004_changes_and_who_worked", "AddField workedday.membership"): UNRELEASED,
    ("annotation", "0004_changes_and_who_worked", "RunPython days_of_their_lists_people"): (
        UNRELEASED
    ),
    ("annotation", "0005_days_once_per_person", "AlterField workedday.membership"): UNRELEASED,
    (
        "annotation",
        "0005_days_once_per_person",
        "AddConstraint workedday.day_once_per_list_and_person",
    ): UNRELEASED,
    ("annotation", "0005_days_once_per_person", "RunPython noop"): "it works only on the way back",
    ("annotation", "0006_extractions_of_older_studies", "RunPython name_extractions_and_kinds"): (
        "it writes to studies, which are few, and reads lists once"
    ),
    ("annotation", "0007_taken_and_cut_time", "AddIndex workedday.cut_days"): (
        "it holds no row yet, so the table is read once"
    ),
    ("annotation", "0010_made_up_and_deleting", "RunPython add_trigger"): "it reads no row",
    ("annotation", "0011_shared_slots", "RunPython drop_trigger"): "it reads no row",
    ("annotation", "0011_shared_slots", "RunPython add_trigger"): "it reads no row",
    ("annotation", "0011_shared_slots", "RunPython mark_due"): (
        "it writes to open studies and their people, who are few, in batches"
    ),
    ("annotation", "0014_look_up", "RunPython drop_trigger"): "it reads no row",
    ("annotation", "0014_look_up", "RunPython add_trigger"): "it reads no row",
    ("annotation", "0015_trigger_prefixes", "RunPython drop_trigger"): "it reads no row",
    ("annotation", "0015_trigger_prefixes", "RunPython add_trigger"): "it reads no row",
    ("annotation", "0016_may_publish", "RunPython drop_trigger"): "it reads no row",
    ("annotation", "0016_may_publish", "RunPython add_trigger"): "it reads no row",
    ("annotation", "0017_lists_of_a_set", "RunPython drop_trigger"): "it reads no row",
    ("annotation", "0017_lists_of_a_set", "RunPython add_trigger"): "it reads no row",
    ("annotation", "0018_may_share", "RunPython drop_trigger"): "it reads no row",
    ("annotation", "0018_may_share", "RunPython add_trigger"): "it reads no row",
    ("corpus", "0011_index_of_tokens", "RunPython keep_packed_rows_as_they_are"): (
        "its tables are new"
    ),
    ("annotation", "0008_annotations_in_json", "RunPython answers_to_annotations"): (
        "it writes in batches, each for a moment"
    ),
    ("results", "0005_machine_annotators_in_filters", "RunPython machine_to_machine_annotators"): (
        "it writes to snapshots, which are few"
    ),
    ("corpus", "0001_initial", "RunPython index_token_ids"): "its table is new",
    ("corpus", "0009_titles_of_extractions", "RunPython give"): (
        "it writes to extractions, which are few, in batches"
    ),
    **{
        ("corpus", "0006_kinds_statistics_and_trigger_prefixes", f"AlterField vector.{name}"): why
        for name, why in (
            ("kind", "PostgreSQL makes a limit of characters larger without a look at any row"),
            ("norm", "PostgreSQL lets a column be null without a look at any row"),
            ("scores", "PostgreSQL lets a column be null without a look at any row"),
        )
    },
}
OWN = {"accounts", "annotation", "corpus", "results", "workers"}


def findings(migration: migrations.Migration, state: ProjectState) -> Iterator[str]:
    """The operations of a migration that could hold a large table for long; changes `state`."""
    new: set[tuple[str, str]] = set()
    app = migration.app_label
    for operation in migration.operations:
        before = state.clone()
        operation.state_forwards(app, state)
        if isinstance(operation, migrations.CreateModel):
            new.add((app, operation.name_lower))
        table = (app, getattr(operation, "model_name_lower", ""))
        if isinstance(operation, (migrations.RunPython, migrations.RunSQL)):
            code = getattr(getattr(operation, "code", None), "__name__", "")
            yield f"{type(operation).__name__} {code}".strip()
        elif table in LARGE - new and _holds(operation, table, before, state):
            yield f"{type(operation).__name__} {table[1]}.{_name(operation)}"


def _holds(
    operation: Operation, table: tuple[str, str], before: ProjectState, after: ProjectState
) -> bool:
    """Whether an operation on a table that is there reads or writes all of its rows."""
    if isinstance(operation, (migrations.AddIndex, migrations.AddConstraint)):
        return True
    if isinstance(operation, migrations.AddField):
        field = operation.field
        # A callable's value is asked for once, and is the same in every row.
        return (
            field.unique
            or field.db_index
            or field.generated
            or isinstance(field, models.ManyToManyField)
            or (field.has_db_default() and not isinstance(field.db_default, (int, str, bool)))
        )
    if isinstance(operation, migrations.AlterField):
        old, new = (
            state.apps.get_model(*table)._meta.get_field(operation.name)
            for state in (before, after)
        )
        return connection.schema_editor()._field_should_be_altered(old, new)
    return False


def _name(operation: Any) -> str:
    named = getattr(operation, "index", None) or getattr(operation, "constraint", None)
    return named.name if named is not None else operation.name


def all_findings() -> set[tuple[str, str, str]]:
    loader = MigrationLoader(None)
    found: set[tuple[str, str, str]] = set()
    for key, migration in loader.disk_migrations.items():
        if key[0] in OWN:
            state = loader.project_state(key, at_end=False)
            found |= {(*key, finding) for finding in findings(migration, state)}
    return found


def test_no_migration_holds_a_large_table_for_long():
    assert all_findings() == set(ALLOWED), (
        "Change the large table in steps that each hold it for a moment (an index built "
        "CONCURRENTLY on PostgreSQL; a column that may be null, filled in batches by a migration "
        "with atomic = False), and say in ALLOWED how, or why it does not matter."
    )


def test_large_tables_exist():
    for app, name in LARGE:
        assert apps.get_model(app, name)


@pytest.mark.parametrize(
    ("operation", "finding"),
    [
        (
            migrations.AddIndex("assignment", models.Index(fields=["state"], name="by_state")),
            "AddIndex assignment.by_state",
        ),
        (
            migrations.AddConstraint(
                "revision",
                models.UniqueConstraint(fields=["assignment", "created_at"], name="once"),
            ),
            "AddConstraint revision.once",
        ),
        (
            migrations.AddField("pattern", "code", models.CharField(max_length=9, db_index=True)),
            "AddField pattern.code",
        ),
        (
            migrations.AddField(
                "item",
                "study2",
                models.ForeignKey("annotation.study", models.CASCADE, null=True),
            ),
            "AddField item.study2",
        ),
        (
            migrations.AddField(
                "item", "at", models.DateTimeField(db_default=models.functions.Now())
            ),
            "AddField item.at",
        ),
        (
            migrations.AlterField("patternmember", "rank", models.PositiveIntegerField()),
            "AlterField patternmember.rank",
        ),
        (migrations.RunSQL("UPDATE annotation_assignment SET version = 1"), "RunSQL"),
        (migrations.AddField("item", "note", models.TextField(null=True)), None),
        (migrations.AddField("item", "note", models.TextField(default="")), None),
        (
            migrations.AlterField(
                "assignment",
                "comment",
                models.TextField(blank=True, choices=[("a", "a")], help_text="said"),
            ),
            None,
        ),
        (migrations.AddIndex("study", models.Index(fields=["title"], name="by_title")), None),
    ],
    ids=lambda value: getattr(value, "describe", lambda: "")(),
)
def test_what_holds_a_large_table_is_found(operation: Operation, finding: str | None):
    migration = migrations.Migration("9999_next", "annotation")
    migration.operations = [operation]
    state = MigrationLoader(None).project_state()
    assert list(findings(migration, state)) == ([finding] if finding else [])
