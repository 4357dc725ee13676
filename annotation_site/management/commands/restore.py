"""`manage.py restore FILE`: restore a backup into an empty database, SQLite or PostgreSQL."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from annotation_site.errors import SiteError, storage_sentence
from annotation_site.management.base import SiteCommand
from annotation_site.operations.backup import backup_restore
from annotation_site.operations.databases import database_described


class Command(SiteCommand):
    help = (
        "Fill an empty database from a backup. A backup made on SQLite can be restored on "
        "PostgreSQL and the other way round."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="what `manage.py backup` wrote")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            counts = backup_restore(file)
        except SiteError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(str(storage_sentence(error) or error)) from error
        self.stdout.write(
            f"Restored {sum(counts.values())} rows into {database_described()}. People log in anew."
        )
