"""`manage.py restore_study FILE --researcher NAME`: restore a study from its archive."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from annotation_site.accounts.models import User
from annotation_site.errors import SiteError
from annotation_site.management.base import SiteCommand
from annotation_site.results.files.archive_restore import study_restore


class Command(SiteCommand):
    help = "Make a closed study from a replication archive, with its lists; all or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="a replication archive (.zip)")
        parser.add_argument("--researcher", required=True, help="who runs the study, by user name")

    def handle(self, *args: Any, file: Path, researcher: str, **_: Any) -> None:
        user = User.objects.filter(username=researcher).first()
        if user is None or not user.is_researcher:
            raise CommandError(f"There is no researcher “{researcher}”.")
        try:
            with file.open("rb") as opened:
                study = study_restore(file=opened, restored_by=user)
        except SiteError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror or error}.") from error
        told = " Its annotations are made up." if study.made_up else ""
        self.stdout.write(f"Restored “{study}” as {study.slug}.{told}")
