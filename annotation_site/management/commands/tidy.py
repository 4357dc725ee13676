"""`manage.py tidy`: remove expired files and rows."""

from typing import Any

from django.core.management.base import CommandParser

from annotation_site.management.base import SiteCommand
from annotation_site.operations.tidy import tidy


class Command(SiteCommand):
    help = "Remove files and rows whose time is over. Workers do the same once a day."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        found = tidy(dry_run=dry_run)
        for name, lines in found.items():
            for line in lines:
                self.stdout.write(f"{name}: {line}")
        if not any(found.values()):
            self.stdout.write("There is nothing to remove.")
        elif dry_run:
            self.stdout.write("Nothing was removed yet: leave --dry-run out for that.")
