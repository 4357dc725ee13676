"""`manage.py serve`: run web server and workers on one machine, without containers."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from annotation_site.serving import WEB_WORKERS, serve


class Command(BaseCommand):
    help = "Start the web server and a worker; Ctrl-C stops both."
    requires_system_checks = ()  # the web server loads what they would look at

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000, help="the next free one is taken")
        parser.add_argument("--web-workers", type=int, default=WEB_WORKERS)

    def handle(self, *args: Any, host: str, port: int, web_workers: int, **options: Any) -> None:
        serve(host, port, web_workers)
