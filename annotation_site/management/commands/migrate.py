"""`manage.py migrate`: Django's command; it also names the database and makes SQLite's folder."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from annotation_site.annotation.allocation.slots import shares_due_sweep
from annotation_site.errors import SiteError
from annotation_site.operations.databases import (
    OTHER_SETTINGS,
    database_answers,
    database_described,
    database_is_new,
    database_make_file,
    plain,
)


def _share_what_is_due() -> None:
    """Share unopened lists again where a migration asks for it, by the code that is there now."""
    executor = MigrationExecutor(connection)
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        shares_due_sweep()


class Command(migrate.Command):
    help = "Bring the database's tables up to date, or make them."

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Name the database, make its file, run the command: checks already connect."""
        where = database_described()
        try:
            if options["verbosity"] >= 1 and not options.get("check_unapplied"):
                new = f" It is new. {OTHER_SETTINGS}" if database_is_new() else ""
                self.stdout.write(f"Database: {where}.{new}")
            database_make_file()
            done = super().execute(*args, **options)
            if not options.get("plan"):
                _share_what_is_due()
            return done
        except SiteError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            if database_answers():
                raise  # a migration's own
            raise CommandError(f"The database ({where}) does not answer: {plain(error)}") from error
