"""`manage.py createadmin NAME`: create an admin."""

import getpass
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from annotation_site.accounts.models import Role
from annotation_site.accounts.services import person_create
from annotation_site.errors import SiteError
from annotation_site.management.base import SiteCommand
from annotation_site.operations.databases import database_described


class Command(SiteCommand):
    help = "Create a person who can log in: an admin, unless --role says otherwise."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--role", choices=Role.values, default=Role.ADMIN)

    def handle(self, *args: Any, name: str, role: str, **options: Any) -> None:
        if sys.stdin.isatty():
            password = getpass.getpass(f"Password for {name}: ")
            if getpass.getpass("Again: ") != password:
                raise CommandError("The two passwords differ. Nothing was created.")
        else:
            password = sys.stdin.readline().rstrip("\n")  # for scripts: one line on stdin
        try:
            person_create(username=name, password=password, role=role)
        except SiteError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{name} can log in now, as {role}.")
        self.stdout.write(f"Database: {database_described()}.")
