"""`manage.py createtoken NAME`: create an API token for a person."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from annotation_site.accounts.models import Scope, User
from annotation_site.accounts.tokens import DEFAULT_DAYS, MOST_DAYS, token_create
from annotation_site.errors import SiteError
from annotation_site.management.base import SiteCommand


class Command(SiteCommand):
    help = "Make an API token and print it. It is stored nowhere."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("person")
        parser.add_argument(
            "--scopes", default=Scope.READ, help=f"of {','.join(Scope.values)}, with commas"
        )
        parser.add_argument("--days", type=int, default=DEFAULT_DAYS, help=f"1 to {MOST_DAYS}")
        parser.add_argument("--name", default="made on the server", help="what it is for")

    def handle(
        self, *args: Any, person: str, scopes: str, days: int, name: str, **options: Any
    ) -> None:
        user = User.objects.filter(username=person).first()
        if user is None:
            raise CommandError(f"There is nobody called {person}. Check the name.")
        try:
            _, secret = token_create(user=user, name=name, scopes=scopes.split(","), days=days)
        except SiteError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(secret)
