"""`manage.py import_annotations STUDY FILE`: import exported labels into a study."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from annotation_site.annotation.models import Study
from annotation_site.errors import SiteError
from annotation_site.exports import labels_jsonl, labels_parquet
from annotation_site.exports.annotation_records import AnnotationRecord, LabelsFileError
from annotation_site.management.base import SiteCommand
from annotation_site.results.files.labels_import import Imported, labels_import


class Command(SiteCommand):
    help = "Read labels (JSON lines or Parquet) into a study with the same lists; all or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("study", help="the study's short name, as in its address")
        parser.add_argument("file", type=Path, help="a .jsonl or .parquet file of an export")
        parser.add_argument(
            "--person",
            action="append",
            default=[],
            metavar="CODE=NAME",
            help="whose answers an annotator's code stands for; may be given again",
        )

    def handle(self, *args: Any, study: str, file: Path, person: list[str], **_: Any) -> None:
        found = Study.objects.filter(slug=study).first()
        if found is None:
            known = ", ".join(Study.objects.order_by("slug").values_list("slug", flat=True))
            raise CommandError(f"There is no study “{study}”. There are: {known or 'none'}.")
        if not all("=" in one for one in person):
            raise CommandError("--person takes a code, = and a user name, such as p12ab=ada.")
        people = dict(one.split("=", 1) for one in person)
        try:
            imported = labels_import(
                study=found,
                records=_records(file),
                people=people,
                called="Line" if file.suffix == ".jsonl" else "Row",
            )
        except (SiteError, LabelsFileError) as error:
            raise CommandError(f"{error} Nothing was imported.") from error
        self.stdout.write(
            f"Imported {imported.annotations} annotations into “{found}”; "
            f"{imported.people_created} people were made up for codes that are new here."
        )
        self._report(imported)

    def _report(self, imported: Imported) -> None:
        if number := imported.scores_changed:
            self.stdout.write(
                f"Computed {number} {'score' if number == 1 else 'scores'} against reference "
                "annotations that the file has otherwise; the file's values were not used."
            )
        if number := imported.proposals_changed:
            self.stdout.write(
                f"Computed {number} proposed stopwords {'flag' if number == 1 else 'flags'} that "
                "the file has otherwise; the file's values were not used."
            )
        if missing := ", ".join(map(str, sorted(imported.guidelines_missing))):
            self.stdout.write(f"The study has no guidelines of version {missing}, which they name.")


def _records(path: Path) -> Iterator[AnnotationRecord]:
    if path.suffix not in (".jsonl", ".parquet"):
        raise CommandError("Labels are read from files that end in .jsonl or .parquet.")
    try:
        with path.open("rb") as file:
            reader = labels_jsonl.read if path.suffix == ".jsonl" else labels_parquet.read
            yield from reader(file)
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
