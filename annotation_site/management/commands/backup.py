"""`manage.py backup FILE`: write all data of the site into one file."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from annotation_site.accounts import audit
from annotation_site.errors import SiteError
from annotation_site.management.base import SiteCommand
from annotation_site.operations.backup import backup_write
from annotation_site.operations.databases import database_described


class Command(SiteCommand):
    help = "Write a backup of the database and the bundles. People may go on working meanwhile."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="a new file, such as ffn-concepts.tar")

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            counts = backup_write(file)
        except SiteError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{file} cannot be written: {error.strerror or error}.") from error
        size = file.stat().st_size
        # The page for admins tells how old the last one is. Not where it is: folders name people.
        audit.record(
            "backup_made",
            bytes=size,
            rows=sum(counts.values()),
            on_this_disk=file.resolve().parent.stat().st_dev == settings.VAR_DIR.stat().st_dev,
        )
        self.stdout.write(
            f"Wrote {file}: {sum(counts.values())} rows, {size / 1e6:.1f} MB, "
            f"from {database_described()}."
        )
