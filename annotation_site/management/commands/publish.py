"""`manage.py publish STUDY --out DIR --license ID`: write a study's data set to a folder."""

import argparse
import secrets
import shutil
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from annotation_site.annotation.models import Study
from annotation_site.data_sets.licences import LICENCES
from annotation_site.data_sets.options import Options, options_check
from annotation_site.data_sets.services import record, require_shareable
from annotation_site.data_sets.writing import data_set_write
from annotation_site.errors import SiteError
from annotation_site.management.base import SiteCommand


class Command(SiteCommand):
    _told = ""
    help = (
        "Write a closed study as a data set that others can load: a new folder, whole or not at "
        "all. Nothing is uploaded."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="the study's short name, as in its address")
        parser.add_argument(
            "--out", type=Path, required=True, help="the folder to write, new or empty"
        )
        parser.add_argument("--license", required=True, help=f"one of {', '.join(LICENCES)}")
        parser.add_argument("--times", action="store_true", help="add times of work")
        parser.add_argument("--comments", action="store_true", help="add people's comments")
        parser.add_argument("--title", default="", help="cite it so; the study's if not given")
        parser.add_argument(
            "--author", action="append", default=[], help="who is cited; give it once for each"
        )
        parser.add_argument("--day", type=_day, help="the day of publication; today if not given")

    def handle(self, *args: Any, study: str, out: Path, **options: Any) -> None:
        found = Study.objects.filter(slug=study).first()
        if found is None:
            known = ", ".join(Study.objects.order_by("slug").values_list("slug", flat=True))
            raise CommandError(f"There is no study “{study}”. There are: {known or 'none'}.")
        chosen = Options(
            licence=options["license"],
            day=options["day"] or timezone.localdate(),
            with_times=options["times"],
            with_comments=options["comments"],
            authors=tuple(author.strip() for author in options["author"]),
            title=options["title"].strip(),
        )
        try:
            options_check(licence=chosen.licence, authors=chosen.authors, title=chosen.title)
            require_shareable(found, reader=None)
            self._write(found, out.absolute(), chosen)
        except SiteError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(f"{out} cannot be written: {error.strerror or error}.") from error
        record(found, chosen, by=None)
        self.stdout.write(f"Wrote {out}")

    def _write(self, study: Study, out: Path, options: Options) -> None:
        """Write beside the folder, and rename: the folder is whole, or what it was before."""
        _require_new(out)
        part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
        part.mkdir(parents=True)
        try:
            data_set_write(part, study, options, report=self._tell)
            _require_new(out)
            part.rename(out)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _tell(self, done: int, total: int) -> None:
        """Progress on stderr, each state once, so that stdout stays a program's."""
        percent = f"{100 * done // total if total else 100}%"
        if percent != self._told:
            self.stderr.write(percent, self.style.NOTICE)
            self._told = percent


def _require_new(out: Path) -> None:
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise CommandError(f"{out} is there already. Choose a folder that is new or empty.")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("give a day such as 2026-03-02") from error
