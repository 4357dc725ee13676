"""Base class of the site's commands."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotation_site.errors import Invalid
from annotation_site.operations.databases import require_database


class SiteCommand(BaseCommand):
    """Base class of the site's commands; it refuses a database without its tables.

    Typed without the settings of its installation, it would act on an SQLite file of its own.
    """

    # They find mistakes of the code, as its tests do, and take longer than most commands.
    requires_system_checks = ()

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Check the database, then run the command."""
        try:
            require_database()
        except Invalid as error:
            raise CommandError(str(error)) from error
        return super().execute(*args, **options)
