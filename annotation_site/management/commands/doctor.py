"""`manage.py doctor`: check the installation; print problems with their remedies."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation_site.operations.doctor import CHECKS, ON_REQUEST, examine

SIGNS = {"ok": "✓", "look": "!", "wrong": "✗"}


class Command(BaseCommand):
    help = "Say in plain words what is wrong with this installation, and what to do."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "checks", nargs="*", metavar="CHECK", help=f"of: {', '.join(CHECKS | ON_REQUEST)}"
        )

    def handle(self, *args: Any, checks: list[str], **options: Any) -> None:
        if unknown := set(checks) - set(CHECKS | ON_REQUEST):
            raise CommandError(
                f"There is no check {', '.join(sorted(unknown))}. "
                f"There are: {', '.join(CHECKS | ON_REQUEST)}."
            )
        found = examine(checks or tuple(CHECKS))
        width = max(map(len, found))
        for name, finding in found.items():
            self.stdout.write(f"{SIGNS[finding.level]} {name:<{width}}  {finding.said}")
        bad = [name for name, finding in found.items() if finding.level == "wrong"]
        if bad:
            raise CommandError(f"Wrong: {', '.join(bad)}.")
        self.stdout.write("Nothing is wrong.")
