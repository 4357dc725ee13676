"""A database as an older version left it, from what `fixtures.upgrade.make` wrote there."""

import gzip
import json
from pathlib import Path
from typing import Any

from django.core.management.color import no_style
from django.db import connection, models, transaction
from django.db.migrations.executor import MigrationExecutor

from tests.e2e.site import ROOT

FOLDER = ROOT / "fixtures" / "upgrade"
# Every release that somebody may come from. One that was made is never taken out.
OLDER = ("first", "0.1")


def older_version_read(path: Path) -> dict[str, Any]:
    """What `fixtures.upgrade.make` wrote: migrations, rows, and what the site said of them."""
    return json.loads(gzip.decompress(path.read_bytes()))


def older_version_load(path: Path) -> None:
    """Migrate an empty database as far as the older version was, and fill it with its rows."""
    made = older_version_read(path)
    applied = list(dict(made["migrations"]).items())  # in their order: the last of each app
    executor = MigrationExecutor(connection)
    executor.migrate(applied)
    apps = executor.loader.project_state(applied).apps
    with transaction.atomic():
        for label, table in made["rows"].items():
            model = apps.get_model(label)
            by_name = {field.attname: field for field in model._meta.concrete_fields}
            fields = [by_name[name] for name in table["columns"]]
            rows = [
                model(**{f.attname: _read(f, v) for f, v in zip(fields, row, strict=True)})
                for row in table["rows"]
            ]
            if not rows:
                continue
            # Not bulk_create: it would set "created at" to now. `raw` is what loaddata uses.
            model._base_manager.all()._insert(rows, fields, using="default", raw=True)  # type: ignore[attr-defined]
    # Tables between two models too: there, what clashes is dropped without a word.
    models_of = apps.get_models(include_auto_created=True)
    with connection.cursor() as cursor:
        for sql in connection.ops.sequence_reset_sql(no_style(), models_of):
            cursor.execute(sql)


def _read(field: Any, value: Any) -> Any:
    if value is None or isinstance(field, models.JSONField):
        return value
    return (field.target_field if field.is_relation else field).to_python(value)
